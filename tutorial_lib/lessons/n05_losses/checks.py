"""Exercises of notebook 05: the losses, MS-SSIM in decibels, and how far two judges agree."""

from tutorial_lib.lessons.n05_losses.checks_judges import AGREEMENT, DECIBELS
from tutorial_lib.lessons.n05_losses.checks_losses import L1_SSIM, LOG_COSH, LOG_COSH_SSIM

EXERCISES = [LOG_COSH, L1_SSIM, LOG_COSH_SSIM, DECIBELS, AGREEMENT]
