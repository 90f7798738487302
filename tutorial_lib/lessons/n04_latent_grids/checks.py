"""Exercises of notebook 04: a pyramid of integer grids, what stands for rounding, what an integer costs, and the fit."""

from tutorial_lib.lessons.n04_latent_grids.checks_context import CONTEXT
from tutorial_lib.lessons.n04_latent_grids.checks_grids import FEATURES, NEIGHBOURS, SOFT_ROUND
from tutorial_lib.lessons.n04_latent_grids.checks_rate import BITS, INTEGERS, STEP

EXERCISES = [FEATURES, SOFT_ROUND, NEIGHBOURS, BITS, CONTEXT, STEP, INTEGERS]
