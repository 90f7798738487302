"""What is asked of a codec and what it is about to do: wishes, budgets, plans, and what a family of codecs must answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor

from tutorial_lib.coding.bitstream import Reader
from tutorial_lib.coding.quantizers import Quantizer
from tutorial_lib.coding.rounding import Rounding
from tutorial_lib.coding.steps import QuantizedTensor, Step
from tutorial_lib.training.loop import Report

MIN_ITERATIONS = 12
MAX_REDUCTION = 64


class CodecError(ValueError):
    """A request that a codec can't fulfil; the message is one sentence for the reader."""


@dataclass(frozen=True)
class Budget:
    """What a budget buys: multiply-adds of the forward passes of a fit, most steps of a fit, bytes of a file."""

    operations: float
    iterations: int
    default_bytes: int


BUDGETS = {
    "quick": Budget(1e10, 300, 2_000),
    "laptop": Budget(8e11, 3_000, 24_000),
    "gpu": Budget(1e14, 8_000, 96_000),
}

Representation = Any
"""An nn.Module with ``config``, ``height``, ``width`` and ``render(height, width)``: Python's types know no "both"."""

Effort = Literal["thorough", "quick", "at once"]
Storage = Literal["rate", "8 bits", "7 bits", "float16"]


@dataclass(frozen=True)
class Wishes:
    """What an encode is asked for; see `Codec.plan`."""

    bpp: float | None
    lmbda: float | None
    loss: str | None
    method: str
    iterations: int | None
    steer: bool
    config: Any
    patient: bool


@dataclass(frozen=True)
class Plan:
    """What an encode is about to do.

    Args:
        codec: its name.
        config: the representation's shape.
        size: of the picture, (height, width) in pixels; of a film (frames, height, width), of a sound (samples,).
        recipe: of the fit, as the family takes it.
        loss: a name in `losses.LOSSES`; None for the recipe's own.
        expected_bytes: of the file, about.
        side_bytes: those of them that are neither weights nor latents.
        target_bytes: the most that the file may take; None: whatever it takes.
        target_bpp: bits per pixel that the file is steered to; None: what λ leads to.
        lmbda: λ in D + λR where the fit begins; None: the family's choice.
        steer: whether λ follows the target.
        storage: "rate", steps by rate and distortion within the target; "8 bits" and "7 bits", steps by the largest weight;
            "float16", two bytes a weight and no entropy coding; None: as the family does it.
        rounding: how weights are rounded in the end, or where a phase of the recipe says so; None: the family's way.
        reduction: the picture is fitted at 1/this of its sides.
    """

    codec: str
    config: Any
    size: tuple[int, ...]
    recipe: Any
    loss: str | None
    expected_bytes: int
    side_bytes: int
    target_bytes: int | None = None
    target_bpp: float | None = None
    lmbda: float | None = None
    steer: bool = True
    storage: Storage | None = None
    rounding: Rounding | None = None
    reduction: int = 1

    @property
    def height(self) -> int:
        """Of a picture or a frame, in pixels."""
        return self.size[-2]

    @property
    def width(self) -> int:
        """Of a picture or a frame, in pixels."""
        return self.size[-1]

    @property
    def fitted(self) -> Plan:
        """The plan for the picture at the size at which it is fitted."""
        if self.reduction == 1:
            return self
        return replace(self, size=reduced_size(self.height, self.width, self.reduction), reduction=1)

    @property
    def bpp(self) -> float:
        """Expected bits per pixel, or frame and pixel, or sample."""
        return 8 * self.expected_bytes / math.prod(self.size)


def reduced_size(height: int, width: int, reduction: int) -> tuple[int, int]:
    """Height and width of a picture at 1/``reduction`` of its sides, in pixels."""
    return -(-height // reduction), -(-width // reduction)


@dataclass(frozen=True)
class Encoding:
    """The bytes of a file, and how the fit behind them went."""

    data: bytes
    report: Report


class Family(Protocol):
    """What a kind of representation adds to the steps of a `Codec`.

    Attributes:
        methods: ways of encoding, by name.
        sections: of a file, in its order, behind "configuration".
        takes_lambda: whether D + λR can be asked for.
    """

    sections: ClassVar[tuple[str, ...]]
    takes_lambda: ClassVar[bool]

    @property
    def methods(self) -> Mapping[str, Any]: ...

    def plan(self, name: str, picture: Tensor, wishes: Wishes, budget: Budget) -> Plan:
        """Shape, recipe and aim for a codec of that name; a `CodecError` where the wishes can't be met."""
        ...

    def reduction(self, config: Any, height: int, width: int, budget: Budget) -> int:
        """At which part 1/n of its sides a picture of this size is best fitted for a budget."""
        ...

    def problem(self, config: Any, height: int, width: int, /) -> str | None:
        """What keeps a decoder from this shape: a sentence, or None."""
        ...

    def build(self, config: Any, height: int, width: int, /) -> Representation:
        """A new representation, its weights drawn from torch's random numbers."""
        ...

    def quantizer(self, plan: Plan, wished: Quantizer | None) -> Quantizer | None:
        """What quantizes while the fit runs, ``wished`` if there is one; None where nothing does."""
        ...

    def fit(
        self, representation: Representation, picture: Tensor, plan: Plan, quantizer: Quantizer | None, **options: Any
    ) -> Report:
        """Fit in place. Options: seed, progress, callback."""
        ...

    def round(
        self,
        representation: Representation,
        picture: Tensor,
        plan: Plan,
        report: Report,
        effort: Effort,
        quantizer: Quantizer | None,
        seed: int,
    ) -> Report:
        """Round what was fitted, in place; the report with its steps."""
        ...

    def estimate_seconds(self, representation: Representation, picture: Tensor, plan: Plan) -> float:
        """About how long `fit` and `round` take here."""
        ...

    def write_config(self, config: Any) -> bytes:
        """The section "configuration"."""
        ...

    def read_config(self, reader: Reader) -> Any:
        """What `write_config` was given."""
        ...

    def pack(self, representation: Representation, steps: Mapping[str, Step]) -> dict[str, bytes]:
        """The other sections."""
        ...

    def unpack(self, representation: Representation, sections: Mapping[str, bytes]) -> dict[str, QuantizedTensor | Tensor]:
        """Fill the representation; the stored tensors by name."""
        ...

    def describe(
        self, representation: Representation, tensors: Mapping[str, QuantizedTensor | Tensor], sections: Mapping[str, bytes]
    ) -> list[dict[str, Any]]:
        """The rows of `Codec.describe` for what `unpack` gave."""
        ...

    def operations_per_pixel(self, config: Any, height: int, width: int, /) -> float:
        """Multiply-adds of decoding, for each pixel."""
        ...
