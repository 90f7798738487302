"""Overfit the latents of an amortised picture: the networks stay, the integers go where this one picture has them cheaper.

The amortised encoder sees a picture once; what it misses is the amortization gap (Cremer et al., 2018). Here gradients of
J = D + λR reach the latents through decoder and context networks (Campos et al., 2019; Yang et al., 2020).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tutorial_lib.amortised.picture import AmortisedPicture
from tutorial_lib.training.loop import Progress, Report


@dataclass(frozen=True)
class Refining:
    """How long to refine.

    Args:
        iterations: steps; 0 for none, unless ``seconds`` say otherwise.
        seconds: of wall time, instead.
    """

    iterations: int = 0
    seconds: float | None = None

    @property
    def asked(self) -> bool:
        """Whether there is anything to do."""
        return self.iterations > 0 or self.seconds is not None


def refine(
    representation: AmortisedPicture,
    picture: Tensor,
    coefficients: Tensor,
    how: Refining,
    report: Report,
    *,
    target_bpp: float | None,
    seed: int,
    progress: bool,
    callback: Callable[[Progress], None] | None,
) -> Report:
    return report
