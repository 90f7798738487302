"""Training a second synthesis on frozen latents: EIC-E2E-P's way to a reconstruction for the eye.

Only what paints is trained, so the stream stays what it is, and the features that the latents give are computed once. Beside the
synthesis a discriminator learns to tell its pictures from the original, each seen beside the base reconstruction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from tutorial_lib.latents.texture import Texture
from tutorial_lib.metrics import psnr_of_mse
from tutorial_lib.perception import Discriminator, Look, relativistic_average
from tutorial_lib.runtime import keep_freed_memory, threads_for

ITERATIONS = {"quick": 20, "laptop": 120, "gpu": 300}
"""Steps by budget. On coffee 120 reach what 200 and 400 do."""

LEARNING_RATE, JUDGES_RATE = 5e-3, 1e-3
"""Adam's, of the synthesis and of the discriminator; the first falls as a cosine."""

WINDOW = 512
"""Side of what a step sees of a larger picture."""


STEERING, MOST = 0.1, 2.0
"""λ_rec changes by a tenth, in its logarithm, where the price is missed by all of it, and by twice that at most in a step."""

FACTORS = 0.01, 4.0
"""Least and most of what steering multiplies λ_rec by. Adam's first steps cost decibels on `coolchic-v2`; unbounded, λ_rec rose
so far in them that it didn't come down again: Kodak 15's LPIPS fell by 3 % instead of 28 %."""


@dataclass(frozen=True)
class LookReport:
    """How a training went.

    Args:
        history: the loss without the discriminator's part, every tenth step.
        interrupted: whether it was stopped.
        look: what it was trained for, λ_rec as it was at the end.
    """

    history: tuple[float, ...]
    interrupted: bool
    look: Look


def train_look(
    texture: Texture,
    base: Tensor,
    picture: Tensor,
    look: Look,
    *,
    iterations: int = ITERATIONS["laptop"],
    seed: int = 0,
    progress: bool = True,
    callback: Callable[[int, Tensor], None] | None = None,
) -> LookReport:
    """Train ``texture``'s synthesis, in place, from where it is.

    Stopping it (Ctrl-C, the notebook's stop button) ends the training, not the program.

    Args:
        base: what the first synthesis paints, (3, H, W), on the texture's device like ``picture``, the original.
        iterations: 1 or more.
        seed: of the discriminator's start, and of the windows on a large picture.
        callback: called after every step with its number and the picture painted, (3, h, w).
    """
    keep_freed_memory()
    run = _Training(texture, base, picture, look, seed)
    history, interrupted = [], False
    bar = tqdm(range(iterations), desc="texture", disable=not progress, leave=False)
    try:
        with threads_for(float(run.weights) * picture[0].numel()):
            for step in bar:
                warm = min(1.0, 10 * (step + 1) / iterations)  # Adam's first steps are as long as any, and know least
                value, painted = run.step(warm * (0.5 + 0.5 * math.cos(math.pi * step / iterations)))
                if step % 10 == 0:
                    history.append(value)
                    bar.set_postfix(PSNR=f"{psnr_of_mse(float(F.mse_loss(painted, run.target))):.2f}")
                if callback:
                    callback(step, painted)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        bar.close()
    return LookReport(tuple(history), interrupted, run.steered())


class _Training:
    """What a training holds: features, pictures, the discriminator, both optimizers."""

    def __init__(self, texture: Texture, base: Tensor, picture: Tensor, look: Look, seed: int) -> None:
        self.texture, self.look = texture, look
        self.random = torch.Generator().manual_seed(seed)
        grids = texture.symbols()
        with torch.no_grad():
            features = texture.features(grids)
        self.features, self.base, self.picture = features, base, picture
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.judge = Discriminator().to(picture.device)
        parameters = texture.networks()
        self.still = {} if look.noise else {name: texture.from_noise(name).to(picture.device) for name in parameters}
        self.weights = sum(parameter.numel() for parameter in parameters.values())
        self.adam = torch.optim.Adam(parameters.values(), LEARNING_RATE)
        self.judges_adam = torch.optim.Adam(self.judge.parameters(), JUDGES_RATE)
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        self.target = picture
        self.distance = look.distance(picture) if picture[0].numel() <= WINDOW**2 else None
        self.factor = 1.0

    def step(self, rate: float) -> tuple[float, Tensor]:
        """One step of the synthesis, and one of the judge; the loss without the judge's part, and what was painted."""
        features, base, distance = self.features, self.base, self.distance
        if distance is None:
            window = self.window()
            features, base, self.target = features[window], base[window], self.picture[window]
            distance = self.look.distance(self.target)
        painted = self.texture.synthesis(features)
        loss = distance(painted, self.factor)
        value = float(loss.detach())
        if self.look.adversarial_weight:
            real, fake = self.judge(self.target, base), self.judge(painted, base)
            loss = loss + self.look.adversarial_weight * relativistic_average(fake, real)
        self.adam.param_groups[0]["lr"] = LEARNING_RATE * rate
        self.adam.zero_grad()
        loss.backward()
        for name, columns in self.still.items():
            cast(Tensor, self.texture.networks()[name].grad)[:, columns] = 0
        self.adam.step()
        self.steer(painted.detach(), base)
        if self.look.adversarial_weight:
            self.judges_adam.zero_grad()  # the synthesis's step left gradients there, too
            relativistic_average(self.judge(self.target, base), self.judge(painted.detach(), base)).backward()
            self.judges_adam.step()
        return value, painted.detach()

    @torch.no_grad()
    def steer(self, painted: Tensor, base: Tensor) -> None:
        """λ_rec a little lower while the texture costs less than its price, a little higher where it costs more."""
        if self.look.price is None:
            return
        allowed = 10 ** (self.look.price / 10) - 1
        cost = float(F.mse_loss(painted, self.target) / F.mse_loss(base, self.target).clamp_min(1e-9)) - 1
        factor = self.factor * math.exp(STEERING * min(max(cost / allowed - 1, -MOST), MOST))
        self.factor = min(max(factor, FACTORS[0]), FACTORS[1])

    def steered(self) -> Look:
        """The look with λ_rec where it has come to."""
        return replace(self.look, reconstruction_weight=self.factor * self.look.reconstruction_weight)

    def window(self) -> tuple[slice, ...]:
        """A random part of a large picture."""
        sides = [min(side, WINDOW) for side in self.picture.shape[1:]]
        starts = [
            int(torch.randint(whole - side + 1, (), generator=self.random))
            for whole, side in zip(self.picture.shape[1:], sides, strict=True)
        ]
        return (slice(None), *(slice(start, start + side) for start, side in zip(starts, sides, strict=True)))
