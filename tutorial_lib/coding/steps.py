"""From weights to integers and back, uniformly: a weight w becomes the symbol q = round(w/Δ) and is read back as ŵ = q·Δ.

A file has two bytes for the step Δ of a tensor, and one more for each row with a step of its own. So a step is made storable
before any weight is divided by it, and the decoder multiplies by the same number. How large it should be, `quantizers` say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MAX_SYMBOL = (1 << 15) - 1
"""The largest magnitude of a symbol."""
MIN_STEP = 2.0**-60
"""The smallest step: what a tensor of zeros gets."""

Step = float | np.ndarray
"""Δ of a tensor: one for all of it, or float32 of shape (rows,), one for each index of the first dimension."""


@dataclass(frozen=True)
class QuantizedTensor:
    """Integer symbols (int32, any shape, within ±`MAX_SYMBOL`) and the step Δ that turns them into weights."""

    symbols: np.ndarray
    step: Step

    def values(self) -> Tensor:
        """The weights ŵ = q·Δ, float32, on the CPU."""
        symbols = torch.from_numpy(self.symbols.astype(np.float32))
        return symbols * factor(self.step, symbols)


def storable_step(step: float) -> float:
    """``step``, `MIN_STEP` at least, rounded to the nearest bfloat16 (8 significant bits): the form in which a file keeps it."""
    return torch.tensor(max(step, MIN_STEP)).bfloat16().item()


def storable_row_steps(steps: np.ndarray) -> np.ndarray:
    """Steps of rows as a file keeps them: the largest as bfloat16, each as k/256 of it with k = 1 … 256, rounded up.

    Args:
        steps: (rows,), not negative.

    Returns:
        float32 (rows,), exact; the first of the largest has k = 256.
    """
    largest = storable_step(float(steps.max(initial=0.0)))
    parts = np.clip(np.ceil(256 * (np.asarray(steps, dtype=np.float64) / largest)), 1, 256)
    parts[np.argmax(steps)] = 256
    return (parts / 256 * largest).astype(np.float32)


def factor(step: Step, values: Tensor) -> float | Tensor:
    """``step`` in a form that multiplies ``values``: a number, or (rows, 1, …) on their device."""
    if isinstance(step, np.ndarray):
        return torch.from_numpy(step).to(values.device).view(-1, *[1] * (values.ndim - 1))
    return step


def in_steps(values: Tensor, step: Step) -> Tensor:
    """w/Δ, of the same shape."""
    return values / factor(step, values)


def to_symbols(values: Tensor, step: Step) -> Tensor:
    """round(w/Δ), ties to even, within ±`MAX_SYMBOL`; float32 holding integers, same shape and device."""
    return torch.round(in_steps(values, step)).clamp_(-MAX_SYMBOL, MAX_SYMBOL)


def quantize(values: Tensor, step: Step) -> QuantizedTensor:
    """The tensor as a file will hold it; ``step`` from `storable_step` or `storable_row_steps`."""
    return QuantizedTensor(to_symbols(values.detach(), step).cpu().numpy().astype(np.int32), step)
