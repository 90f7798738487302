"""Moved to `tutorial_lib.latents.rounding`; `Trial` is now `FrozenLatents`."""

from tutorial_lib.latents.rounding import (
    CURVATURE_OPERATIONS,
    SAMPLED_BANDS,
    SAVING,
    FrozenLatents,
    affordable,
    quantize_networks,
    surgery,
)

Trial = FrozenLatents
