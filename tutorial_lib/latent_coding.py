"""Moved to `tutorial_lib.latents.packing` (networks) and `tutorial_lib.latents.coding` (grids)."""

from tutorial_lib.latents.coding import (
    MAX_RESIDUAL,
    LaplaceTables,
    decode_latents,
    encode_latents,
    wave_slope,
    waves,
)
from tutorial_lib.latents.packing import (
    MAX_EXPONENT,
    Group,
    code_lengths,
    decode_networks,
    encode_networks,
    gather,
    groups_of,
    limit_of,
    scatter,
    symbols_bits,
    to_group_symbols,
)
