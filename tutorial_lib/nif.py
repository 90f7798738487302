"""Moved to `tutorial_lib.networks.nif`."""

from tutorial_lib.networks.nif import (
    PUBLISHED,
    ModulatedSine,
    Nif,
    NifConfig,
    modulated_sine,
)
