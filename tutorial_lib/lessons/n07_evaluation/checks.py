"""Exercises of notebook 07: a curve from real files, BD-rate, two averages, and the crop that flatters."""

from tutorial_lib.lessons.n07_evaluation.checks_claims import CROP, TWO_AVERAGES
from tutorial_lib.lessons.n07_evaluation.checks_curves import BD_RATE, CURVE

EXERCISES = [CURVE, BD_RATE, TWO_AVERAGES, CROP]
