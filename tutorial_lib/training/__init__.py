"""Overfitting as encoding: phases, schedules, stand-ins for rounding, and the loop that fits a representation to one picture.

`fit` is that of networks on coordinates; latent grids have theirs in `training.grids`.
"""

from tutorial_lib.training import grids
from tutorial_lib.training.canvases import PictureResiduals, SubCanvases
from tutorial_lib.training.loop import Moment, Progress, Report
from tutorial_lib.training.networks import calibrate, estimate_seconds, fit, settle
from tutorial_lib.training.phases import GridPhase, GridRecipe, Phase, Recipe, WeightRestart
from tutorial_lib.training.schedules import Constant, Cosine, OneCycle, WarmUpCycles

__all__ = [
    "Constant", "Cosine", "GridPhase", "GridRecipe", "Moment", "OneCycle", "Phase", "PictureResiduals", "Progress", "Recipe",
    "Report", "SubCanvases", "WarmUpCycles", "WeightRestart", "calibrate", "estimate_seconds", "fit", "grids", "settle",
]  # fmt: skip
