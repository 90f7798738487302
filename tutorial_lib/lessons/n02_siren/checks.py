"""Exercises of notebook 02: from coordinates to a picture in the weights of a network."""

from tutorial_lib.lessons.n02_siren.checks_fit import DESCENT, FIT
from tutorial_lib.lessons.n02_siren.checks_layers import ENCODING, SINE_LAYER
from tutorial_lib.lessons.n02_siren.checks_network import RELU_NETWORK, SIREN
from tutorial_lib.lessons.n02_siren.checks_picture import RATE, RENDER

EXERCISES = [RELU_NETWORK, DESCENT, ENCODING, SINE_LAYER, SIREN, FIT, RENDER, RATE]
