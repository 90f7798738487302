"""Exercises of notebook 04: a pyramid of integer grids, what stands for rounding, what an integer costs, and the fit."""

from tutorial_lib.lessons.n04_latent_grids.checks_context import CONTEXT
from tutorial_lib.lessons.n04_latent_grids.checks_grids import FEATURES, NEIGHBOURS
from tutorial_lib.lessons.n04_latent_grids.checks_integers import INTEGERS
from tutorial_lib.lessons.n04_latent_grids.checks_rate import BITS, STEP
from tutorial_lib.lessons.n04_latent_grids.checks_rounding import SOFT_ROUND

EXERCISES = [FEATURES, SOFT_ROUND, NEIGHBOURS, BITS, CONTEXT, STEP, INTEGERS]
