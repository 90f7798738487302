"""Moved to the room `tutorial_lib.latents`, and the hash grid to `tutorial_lib.networks.hash_grid`."""

from tutorial_lib.latents.contexts import (
    FIXED_POINT_BITS,
    MAX_CONTEXT_WEIGHT,
    Band,
    IntegerContextModel,
    contexts_of,
)
from tutorial_lib.latents.grids import (
    BAND_PIXELS,
    LatentGrids,
    start_from_pyramid,
)
from tutorial_lib.latents.kernels import (
    laplace_bits,
    shifted,
)
from tutorial_lib.latents.layers import (
    HALF_KERNEL,
    Affine,
    ContextModel,
    Convolution,
    Synthesis,
    Upsampling,
)
from tutorial_lib.latents.shape import (
    FRACTIONS,
    GAIN,
    LATENT_SPREADS,
    MAX_LATENT,
    MAX_LOG2_SCALE,
    MIN_LOG2_SCALE,
    SMALL,
    V1,
    V2,
    GridsConfig,
    Layer,
    grid_sizes,
    nearest,
    operations_per_pixel,
    window,
)
from tutorial_lib.networks.hash_grid import (
    HashGrid,
    HashGridConfig,
)

FRACTION_BITS = FIXED_POINT_BITS
SPREADS = LATENT_SPREADS


def repeat(plane, times):
    """For the lessons alone, which take `plane.repeat_interleave(times, 0).repeat_interleave(times, 1)` instead."""
    return plane.repeat_interleave(times, 0).repeat_interleave(times, 1)
