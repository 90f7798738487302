"""Moved to `tutorial_lib.coding`: steps, quantizers, rounding, rates."""
# ruff: noqa: F401

from tutorial_lib.coding.quantizers import MaxAbsQuantizer, Quantizer, RateDistortionQuantizer
from tutorial_lib.coding.rates import laplace_entropy_bits
from tutorial_lib.coding.rounding import AdaRound, RateDistortionRounding, Rounding
from tutorial_lib.coding.steps import (
    QuantizedTensor,
    Step,
    quantize,
    storable_row_steps,
    storable_step,
    to_symbols,
)
from tutorial_lib.training.stand_ins import quantized_parameters
