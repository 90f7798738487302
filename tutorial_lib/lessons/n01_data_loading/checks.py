"""Exercises of notebook 01: coordinates of pixels, pairs, PSNR, bits per pixel."""

from tutorial_lib.lessons.n01_data_loading.checks_measures import BITS_PER_PIXEL, PSNR
from tutorial_lib.lessons.n01_data_loading.checks_pictures import CANVAS, PAIRS

EXERCISES = [CANVAS, PAIRS, PSNR, BITS_PER_PIXEL]
