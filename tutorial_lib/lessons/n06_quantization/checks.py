"""Exercises of notebook 06: weights to symbols, a gradient through rounding, what symbols cost, and a file to the last byte."""

from tutorial_lib.lessons.n06_quantization.checks_file import PACK, SEAL, UNPACK
from tutorial_lib.lessons.n06_quantization.checks_symbols import ENTROPY, LAPLACE, QUANTIZE, STRAIGHT_THROUGH

EXERCISES = [QUANTIZE, STRAIGHT_THROUGH, ENTROPY, LAPLACE, PACK, UNPACK, SEAL]
