"""Exercises of notebook 02: from coordinates to a picture in the weights of a network."""

from tutorial_lib.lessons.n02_siren.checks_layers import ENCODING, SINE_LAYER
from tutorial_lib.lessons.n02_siren.checks_network import FIT, SIREN
from tutorial_lib.lessons.n02_siren.checks_picture import RATE, RENDER

EXERCISES = [ENCODING, SINE_LAYER, SIREN, FIT, RENDER, RATE]
