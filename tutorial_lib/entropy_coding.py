"""Moved to `tutorial_lib.coding`: laws, streams, parameters."""
# ruff: noqa: F401

from tutorial_lib.coding.laws import LAWS, PRECISION, ExpGolomb, Gaussian, Histogram, Laplace, decay
from tutorial_lib.coding.parameters import entries as _read_entries
from tutorial_lib.coding.parameters import pack_parameters, stored_laws, unpack_parameters
from tutorial_lib.coding.streams import decode_symbols, encode_symbols
