"""Moved to `tutorial_lib.coding.rates`."""
# ruff: noqa: F401

from tutorial_lib.coding.rates import parameter_rate
