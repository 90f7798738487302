"""Exercises of notebook 03: sines whose frequency differs from place to place, and how to train them."""

from tutorial_lib.lessons.n03_modulated_nif.checks_layers import ACTIVATION, WIDTHS
from tutorial_lib.lessons.n03_modulated_nif.checks_network import NIF
from tutorial_lib.lessons.n03_modulated_nif.checks_race import RACE
from tutorial_lib.lessons.n03_modulated_nif.checks_training import RESTART, SCHEDULE

EXERCISES = [ACTIVATION, WIDTHS, NIF, SCHEDULE, RESTART, RACE]
