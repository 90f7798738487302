"""Moved to `tutorial_lib.networks.siren`."""

from tutorial_lib.networks.siren import (
    TILE_VALUES,
    PositionalEncoding,
    SineLayer,
    Siren,
    SirenConfig,
    initialize,
    render_tiles,
)
