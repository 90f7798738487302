"""What a check needs to compare: random inputs, and a sentence about how two results differ."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_lib.runtime import choose_device


class Wrong(Exception):
    """Raised by a check's own code about the participant's answer; the message is for the reader."""


class Random(random.Random):
    """A seeded source of inputs: `random.Random` (randint, uniform, choice, randbytes …) with tensors.

    The same seed gives the same values, so a check can make its inputs anew for each function it calls.

    Args:
        seed: of everything drawn.
        device: where tensors go.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(seed)
        self.device = torch.device(device)
        self._generator = torch.Generator().manual_seed(seed)

    def tensor(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """float32 of that shape, uniform in [low, high)."""
        values = torch.rand(shape, generator=self._generator)
        return (low + (high - low) * values).to(self.device)

    def normal(self, *shape: int, std: float = 1.0) -> Tensor:
        """float32 of that shape, normal with mean 0."""
        return (std * torch.randn(shape, generator=self._generator)).to(self.device)

    def size(self, low: int = 3, high: int = 12) -> tuple[int, int]:
        """(height, width), never equal, so that swapping them shows."""
        height, width = self.sample(range(low, high + 1), 2)
        return height, width

    def picture(self, height: int, width: int) -> Tensor:
        """A picture (3, height, width) in [0, 1], smooth with a little noise, on the 8-bit grid."""
        coarse = torch.rand((1, 3, 3, 3), generator=self._generator)
        smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)[0]
        noise = 0.1 * torch.rand((3, height, width), generator=self._generator)
        return ((0.9 * smooth + noise) * 255).round().div(255).to(self.device)


def device_of_round(index: int) -> torch.device:
    """Rounds alternate between the notebook's device and the CPU, so that a tensor on the wrong one shows."""
    return choose_device() if index % 2 == 0 else torch.device("cpu")


def load_parameters(module: nn.Module, tensors: Sequence[Tensor]) -> None:
    """Give a module these parameters, in order, whatever their names are.

    So a check can compare two networks that were initialized at random.

    Raises:
        Wrong: other shapes, or another number of them.
    """
    if not isinstance(module, nn.Module):
        raise Wrong(f"a torch module is expected here, not {_kind(module)}")
    mine = list(module.parameters())
    if [p.shape for p in mine] != [t.shape for t in tensors]:
        raise Wrong(
            f"its parameters have the shapes {_shapes(mine)}, expected {_shapes(tensors)}. Is every layer an "
            "attribute of the module (or in an nn.Sequential), and made in the order of use?"
        )
    with torch.no_grad():
        for parameter, tensor in zip(mine, tensors, strict=True):
            parameter.copy_(tensor)


NO_GRADIENT = "no gradient comes back: is there a `detach()` or `torch.no_grad()` in it?"


def slope(function: Callable[..., Tensor], values: Tensor, *others: Any) -> Tensor:
    """The gradient of function(values, *others), summed, for ``values``; `Wrong` where none comes back."""
    with torch.enable_grad():
        values = values.clone().requires_grad_()
        result = function(values, *others)
        (found,) = torch.autograd.grad(result.sum(), values, allow_unused=True) if _has_gradient(result) else (None,)
    if found is None:
        raise Wrong(NO_GRADIENT)
    return found


def _has_gradient(result: Any) -> bool:
    return isinstance(result, Tensor) and result.requires_grad


def slopes(result: Any, sources: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradients of a result for what it was made of, by name: whatever a later cell trains must get one.

    Raises:
        Wrong: no gradient comes back at all, none reaches one of the sources, or it isn't finite there.
    """
    if not _has_gradient(result):
        raise Wrong(NO_GRADIENT)
    weights = torch.arange(result.numel(), device=result.device).cos().view_as(result)  # a plain sum would hide what cancels
    found = torch.autograd.grad((weights * result).sum(), list(sources.values()), allow_unused=True)
    for name, gradient in zip(sources, found, strict=True):
        if gradient is None:
            raise Wrong(f"no gradient reaches {name}: is there a `detach()`, `.data` or `torch.no_grad()` on the way?")
        if not gradient.isfinite().all():
            raise Wrong(
                f"the value is right, but the gradient for {name} is NaN or infinite: the first step of a fit is its last"
            )
    return dict(zip(sources, found, strict=True))


def parameters_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters, numbered in order: their names are the participant's."""
    return {f"parameter {number}": each for number, each in enumerate(module.parameters(), 1)}


def same(yours: Any, target: Any, tolerance: float) -> bool:
    """Whether two results are equal up to the tolerance: |yours − target| ≤ tolerance · (1 + |target|)."""
    return difference(yours, target, tolerance) is None


def difference(yours: Any, target: Any, tolerance: float) -> str | None:
    """How a result differs from its target, as a sentence that starts with "it"; None if it doesn't.

    Tensors and arrays are compared in dtype, device, shape, gradient and values; containers item by item.
    """
    if yours is None and target is not None:
        return "it returned None: is there a `return` on every path?"
    if isinstance(target, Tensor):
        return _tensor_difference(yours, target, tolerance)
    if isinstance(target, np.ndarray):
        if not isinstance(yours, np.ndarray):
            return f"it returned {_kind(yours)}, expected a NumPy array"
        if yours.dtype != target.dtype:
            return f"its dtype is {yours.dtype}, expected {target.dtype}"
        return _values(torch.from_numpy(yours.copy()), torch.from_numpy(target.copy()), tolerance)
    if isinstance(target, bool | str | bytes) or target is None:
        if type(yours) is not type(target):
            return f"it returned {_kind(yours)}, expected {_kind(target)}"
        return None if yours == target else f"it returned {_short(yours)}, expected {_short(target)}"
    if isinstance(target, int | float | np.number):
        if isinstance(yours, Tensor):
            return f"it returned {_kind(yours)}, expected a plain number: `.item()` or `float(…)` makes one"
        if isinstance(yours, bool) or not isinstance(yours, int | float | np.number):
            return f"it returned {_kind(yours)}, expected a number"
        return _values(torch.tensor(float(yours)).double(), torch.tensor(float(target)).double(), tolerance)
    if isinstance(target, Mapping):
        if not isinstance(yours, Mapping) or set(yours) != set(target):
            return f"it returned `{_short(yours)}`, expected a dictionary with the keys {sorted(target, key=str)}"
        return next((d for key in target if (d := _part(key, yours[key], target[key], tolerance))), None)
    if isinstance(target, Sequence):
        if not isinstance(yours, tuple | list) or len(yours) != len(target):
            count = f" of {len(yours)}" if isinstance(yours, tuple | list) else ""
            return f"it returned {_kind(yours)}{count}, expected {len(target)} values"
        return next((d for i in range(len(target)) if (d := _part(i, yours[i], target[i], tolerance))), None)
    return None if type(yours) is type(target) else f"it returned {_kind(yours)}, expected {_kind(target)}"


def _part(name: object, yours: Any, target: Any, tolerance: float) -> str | None:
    """A difference and where it is: "value 2 of value 1 of its result: …", "value 2 of its value 'R': …"."""
    found = difference(yours, target, tolerance)
    if not found:
        return None
    where = f"value {name + 1} of its result" if isinstance(name, int) else f"its value {name!r}"
    inner = re.match(r"(value .* of )?(?:its result|its (value '[^']*')): ", found)
    if not inner:
        return f"{where}: {found}"
    return f"{inner[1] or ''}{f'{inner[2]} of ' if inner[2] else ''}{where}: {found[inner.end() :]}"


def _tensor_difference(yours: Any, target: Tensor, tolerance: float) -> str | None:
    if not isinstance(yours, Tensor):
        return f"it returned {_kind(yours)}, expected a tensor of shape {tuple(target.shape)}"
    if yours.device.type != target.device.type:
        return (
            f"its result is on the device {yours.device.type}, expected {target.device.type}: give `device=` "
            "to tensors that you make, or use `x.new_tensor`, `torch.zeros_like(x)` and friends"
        )
    if yours.dtype != target.dtype:
        return f"its dtype is {yours.dtype}, expected {target.dtype}"
    if target.requires_grad and not yours.requires_grad:
        return "no gradient flows through it: is there a `.detach()`, `.item()` or `torch.no_grad()` inside?"
    return _values(yours.detach().cpu(), target.detach().cpu(), tolerance)


def _values(yours: Tensor, target: Tensor, tolerance: float) -> str | None:
    if yours.shape != target.shape:
        swapped = sorted(yours.shape) == sorted(target.shape)
        hint = ": the same lengths in another order" if swapped else ""
        return f"its shape is {tuple(yours.shape)}, expected {tuple(target.shape)}{hint}"
    if target.numel() == 0:
        return None
    yours, target = yours.double(), target.double()
    unexpected = yours.isnan() & ~target.isnan()
    if unexpected.any():
        return (
            f"its result holds NaN ({int(unexpected.sum())} of {yours.numel()} values): a division by zero, "
            "or the logarithm or root of a negative number?"
        )
    close = torch.isclose(yours, target, rtol=tolerance, atol=tolerance, equal_nan=True)
    if close.all():
        return None
    gap = torch.where(close, torch.zeros_like(yours), (yours - target).abs().nan_to_num(posinf=torch.inf))
    worst = int(gap.argmax())
    at = np.unravel_index(worst, tuple(target.shape)) if target.ndim else ()
    where = f" at [{', '.join(map(str, at))}]" if at else ""
    text = f"it gives {yours.flatten()[worst]:.5g}{where}, expected {target.flatten()[worst]:.5g}"
    return text + _pattern(yours, target, tolerance)


def _pattern(yours: Tensor, target: Tensor, tolerance: float) -> str:
    """A constant factor or offset between two results, which often names the mistake by itself."""
    if not (yours.isfinite().all() and target.isfinite().all()):
        return ""
    scale = float((yours * target).sum() / target.square().sum().clamp_min(1e-300))
    simple = any(abs(ratio - round(ratio)) < 1e-3 and ratio > 1.5 for ratio in (abs(scale), 1 / max(abs(scale), 1e-9)))
    if target.numel() == 1 and not (simple or abs(scale + 1) < 1e-3):  # any two numbers have some ratio
        return ""
    if abs(scale) > 1e-6 and torch.allclose(yours, scale * target, rtol=10 * tolerance, atol=tolerance):
        return f", {scale:.4g} times the right value" + (" everywhere" if target.numel() > 1 else "")
    shift = float((yours - target).mean())
    if target.numel() > 1 and torch.allclose(yours, target + shift, rtol=tolerance, atol=10 * tolerance):
        return f", off by {shift:+.4g} everywhere"
    right = torch.isclose(yours, target, rtol=tolerance, atol=tolerance).double().mean()
    return f" ({right:.0%} of the values are right)" if right > 0 else ""


def _kind(value: object) -> str:
    if value is None:
        return "None"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _shapes(tensors: Sequence[Tensor]) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or "nothing"
