"""The codecs of latent grids: COOL-CHIC v1 and v2, and a small one of ours for small pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tutorial_lib import bitstream, images, latent_training
from tutorial_lib.bitstream import BitstreamError, Container, Reader, varint
from tutorial_lib.codecs.base import CodecError
from tutorial_lib.codecs.common import BUDGETS, MAX_OPERATIONS, Budget, Encoding
from tutorial_lib.latent_coding import decode_latents, decode_networks, encode_latents, encode_networks, groups_of, symbols_bits
from tutorial_lib.latent_grids import SMALL, V1, V2, GridsConfig, LatentGrids, operations_per_pixel
from tutorial_lib.latent_training import BITS_PER_WEIGHT, GridProgress, GridRecipe, fit, modern, published_v1, published_v2
from tutorial_lib.losses import LOSSES
from tutorial_lib.quantization import QuantizedTensor
from tutorial_lib.runtime import choose_budget, choose_device

MAX_GRIDS = 16
HEADER_BYTES = 31
"""What a file holds beside networks and latents, about: header, section table, configuration, checksum."""


@dataclass(frozen=True)
class GridPlan:
    """What an encode is about to do; aim at a rate ``target`` in bits per pixel, or at a λ."""

    codec: str
    config: GridsConfig
    height: int
    width: int
    recipe: GridRecipe
    target: float | None
    lmbda: float | None
    loss: str
    expected_bytes: int
    steer: bool = True

    @property
    def bpp(self) -> float:
        """Expected bits per pixel."""
        return 8 * self.expected_bytes / (self.height * self.width)


@dataclass(frozen=True)
class CoolChicCodec:
    """A codec whose representation is a `LatentGrids`; see `COOLCHIC_V1`, `COOLCHIC_V2` and `COOLCHIC_SMALL`.

    Args:
        name, number: in the registry, and in every file.
        template: the family's shape; only the number of grids differs from file to file.
        methods: recipes by name, given a number of iterations.
        published_iterations: of "published" under the budget "gpu"; smaller budgets shorten it.
    """

    name: str
    number: int
    template: GridsConfig
    methods: Mapping[str, Callable[[int], GridRecipe]]
    published_iterations: int = 0

    def plan(
        self,
        picture: Tensor,
        *,
        bpp: float | None = None,
        lmbda: float | None = None,
        loss: str | None = None,
        budget: str | None = None,
        method: str = "fast",
        iterations: int | None = None,
        steer: bool = True,
        config: GridsConfig | None = None,
        device: torch.device | None = None,
    ) -> GridPlan:
        """Decide the recipe and what it aims at.

        Args:
            picture: (3, H, W) in [0, 1].
            bpp: target in bits per pixel; the file comes within 5 % of it, networks and header counted. Default: none, what λ
                leads to.
            lmbda: λ in D + λR; default 10⁻³, about 34 dB. With ``bpp`` it is only where the fit begins.
            loss: a name in `losses.LOSSES`; default "mse".
            budget: "quick", "laptop" or "gpu"; default `runtime.choose_budget`.
            method: "fast" (the recipe `latent_training.modern`) or, for v1 and v2, "published".
            iterations: of the recipe's main phases, at least 12; default what the budget affords.
            steer: with False, λ is chosen before the fit and kept; the rate is only near ``bpp``. Quicker, for curves.
            config: this shape; of the family, but for the number of grids.

        Raises:
            CodecError: no such method, or a rate that the networks alone exceed.
            ValueError: not a picture, or no such budget.
        """
        if problem := images.picture_problem(picture):
            raise ValueError(problem)
        if method not in self.methods:
            raise CodecError(f"{self.name} has no method {method!r}; there are {', '.join(self.methods)}")
        if loss is not None and loss not in LOSSES:
            raise CodecError(f"no loss {loss!r}; there are {', '.join(LOSSES)}")
        for what, value in (("a rate", bpp), ("λ", lmbda)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise CodecError(f"{what} is a positive number, not {value}")
        config = self.template if config is None else config
        if replace(config, grids=self.template.grids) != self.template or not 1 <= config.grids <= MAX_GRIDS:
            raise CodecError(f"{self.name} has its own networks and 1 to {MAX_GRIDS} grids, not {config}")
        height, width = picture.shape[1:]
        if problem := _undecodable(config, height, width):
            raise CodecError(problem)
        least = HEADER_BYTES + math.ceil(config.weights * BITS_PER_WEIGHT / 8)
        expected = math.ceil(DEFAULT_BPP * height * width / 8) + least
        if bpp is not None:
            target = bpp * height * width / 8
            if target < 1.1 * least:
                raise CodecError(
                    f"{bpp:g} bpp is {int(target):,} bytes for this picture; {self.name}'s networks alone take about {least}"
                )
            expected = math.ceil(target)
        if iterations is None:
            iterations = self._iterations(config, height * width, BUDGETS[choose_budget(budget, device)], method)
        elif iterations < 12:
            raise CodecError(f"a fit takes 12 iterations or more, not {iterations}")
        recipe = self.methods[method](iterations)
        return GridPlan(self.name, config, height, width, recipe, bpp, lmbda, loss or "mse", expected, steer)

    def encode(
        self,
        picture: Tensor,
        *,
        bpp: float | None = None,
        lmbda: float | None = None,
        loss: str | None = None,
        budget: str | None = None,
        method: str = "fast",
        iterations: int | None = None,
        steer: bool = True,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
        callback: Callable[[GridProgress], None] | None = None,
    ) -> bytes:
        """Fit latent grids to ``picture`` and return them as the bytes of a file. Arguments: `plan` and `execute`."""
        where = choose_device(device)
        options = {"budget": budget, "method": method, "loss": loss, "iterations": iterations, "steer": steer}
        plan = self.plan(picture, bpp=bpp, lmbda=lmbda, device=where, **options)
        return self.execute(plan, picture, seed=seed, device=device, progress=progress, callback=callback).data

    def execute(
        self,
        plan: GridPlan,
        picture: Tensor,
        *,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
        callback: Callable[[GridProgress], None] | None = None,
    ) -> Encoding:
        """Carry out a plan of this codec: fit, round, quantise, entropy-code, write.

        Args:
            plan: from `plan`, for a picture of this size.
            picture: (3, H, W) in [0, 1].
            seed: the same seed on the same machine gives the same file with one thread (``OMP_NUM_THREADS=1``); with more,
                `runtime.ThreadTrial` picks their number by the clock, and sums differ in their last digits.
            device: "cpu", "cuda", "mps"; default `runtime.choose_device`. Coding happens on the CPU.
            progress: show a progress bar.
            callback: see `latent_training.fit`.
        """
        if picture.shape != (3, plan.height, plan.width):
            raise ValueError(f"the plan is for {plan.width}×{plan.height} pixels, not for {tuple(picture.shape)}")
        representation = _build(plan.config, plan.height, plan.width, seed).to(choose_device(device))
        report = fit(
            representation,
            picture,
            plan.recipe,
            lmbda=plan.lmbda,
            bpp=plan.target,
            steer=plan.steer,
            header_bytes=HEADER_BYTES,
            loss=plan.loss,
            seed=seed,
            progress=progress,
            callback=callback,
        )
        return Encoding(self._write(representation.cpu(), report.exponents), report)

    def estimate_seconds(self, plan: GridPlan, picture: Tensor, device: str | None = None) -> float:
        """About how long `execute` will take here, from a few timed steps."""
        representation = _build(plan.config, plan.height, plan.width, 0).to(choose_device(device))
        return latent_training.estimate_seconds(representation, picture, plan.recipe)

    def decode(self, data: bytes, size: tuple[int, int] | None = None, *, device: str | None = None) -> Tensor:
        """The picture in a file of this codec, (3, height, width) in [0, 1], on the device it was rendered on.

        Args:
            data: the whole file.
            size: (height, width) in pixels; default the picture's own. Another is the picture resampled (`LatentGrids.render`).

        Raises:
            BitstreamError: damaged, truncated or foreign bytes, or another codec's.
            ValueError: a size that isn't one.
        """
        container = bitstream.read(data)
        if container.codec != self.number:
            raise BitstreamError(f"this file belongs to codec number {container.codec}, not to {self.name}")
        height, width = images.check_size(size) if size is not None else (container.height, container.width)
        return self._read(container)[0].to(choose_device(device)).render(height, width)

    def representation_of(self, data: bytes) -> LatentGrids:
        """The representation in a file, on the CPU: its pyramid (`LatentGrids.symbols`), networks, rates."""
        return self._read(bitstream.read(data))[0]

    def tensors(self, data: bytes) -> dict[str, QuantizedTensor | Tensor]:
        """What entropy decoding gives, by name: "grid 0" … and the groups of network weights, integers and their steps."""
        representation, groups = self._read(bitstream.read(data))
        tensors: dict[str, QuantizedTensor | Tensor] = {
            f"grid {level}": QuantizedTensor(grid.numpy().astype(np.int32), 1.0)
            for level, grid in enumerate(representation.symbols())
        }
        for group, (exponent, symbols) in zip(groups_of(representation), groups, strict=True):
            tensors[group.name] = QuantizedTensor(symbols, 2.0**-exponent)
        return tensors

    def config_of(self, data: bytes) -> GridsConfig:
        """The shape as a file gives it."""
        return self._read_config(bitstream.read(data))

    def operations_per_pixel(self, data: bytes) -> float:
        """Multiply-adds of decoding, for each pixel; `latent_grids.operations_per_pixel`."""
        container = bitstream.read(data)
        return operations_per_pixel(self._read_config(container), container.height, container.width)

    def describe(self, data: bytes) -> list[dict[str, Any]]:
        """A row for each grid and group of weights: name, shape, step, bound, bits_per_weight (of a grid: per value)."""
        representation, groups = self._read(bitstream.read(data))
        rows = []
        grids = representation.symbols()
        with torch.no_grad():
            for level, grid in enumerate(grids):
                bands = [band for piece in representation.bands() for band in piece if band.level == level]
                bits = sum(float(representation.bits(grids, [band]).sum()) for band in bands) if bool(grid.any()) else 0.0
                row = {"name": f"grid {level}", "shape": list(grid.shape), "step": 1.0, "bound": int(grid.abs().max())}
                rows.append(row | {"bits_per_weight": bits / grid.numel()})
        for group, (exponent, symbols) in zip(groups_of(representation), groups, strict=True):
            row = {"name": group.name, "shape": list(symbols.shape), "step": 2.0**-exponent, "bound": int(np.abs(symbols).max())}
            rows.append(row | {"bits_per_weight": symbols_bits(symbols) / symbols.size})
        return rows

    def _iterations(self, config: GridsConfig, pixels: int, budget: Budget, method: str) -> int:
        step = config.weights * pixels + STEP_OVERHEAD
        affordable = int(min(max(budget.operations / step, 20), ITERATIONS * budget.iterations))
        return affordable if method == "fast" else min(affordable, self.published_iterations)

    def _write(self, representation: LatentGrids, exponents: tuple[int, ...]) -> bytes:
        sections = {
            "configuration": varint(representation.config.grids),
            "networks": encode_networks(representation, exponents),
            "latents": encode_latents(representation),
        }
        return bitstream.write(Container(self.number, representation.height, representation.width, sections))

    def _read_config(self, container: Container) -> GridsConfig:
        missing = {"configuration", "networks", "latents"} ^ set(container.sections)
        if missing:
            raise BitstreamError(f"a file of {self.name} has no section {missing.pop()!r}, or has one too many")
        reader = Reader(container.sections["configuration"], "configuration section")
        grids = reader.varint()
        reader.end()
        if not 1 <= grids <= MAX_GRIDS:
            raise BitstreamError(f"{grids} grids are impossible here")
        config = replace(self.template, grids=grids)
        if problem := _undecodable(config, container.height, container.width):
            raise BitstreamError(problem)
        return config

    def _read(self, container: Container) -> tuple[LatentGrids, list[tuple[int, np.ndarray]]]:
        representation = _build(self._read_config(container), container.height, container.width, 0)
        groups = decode_networks(representation, container.sections["networks"])
        decode_latents(representation, container.sections["latents"])
        return representation, groups


DEFAULT_BPP = 0.5
"""What the latents take at the default λ = 10⁻³, about: between 0.3 and 0.8 on photographs."""

STEP_OVERHEAD = 5e7
"""What a step costs beside its arithmetic, in multiply-adds: a few hundred small operations."""

ITERATIONS = 2
"""Steps of a fit, at most, for each that a budget grants networks on coordinates: 6,000 on a laptop."""


def _build(config: GridsConfig, height: int, width: int, seed: int) -> LatentGrids:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LatentGrids(config, height, width)


def _undecodable(config: GridsConfig, height: int, width: int) -> str | None:
    """What keeps a decoder from a picture of this size: a sentence, or None."""
    if config.weights * height * width > MAX_OPERATIONS:
        return f"{width}×{height} pixels are more than this program decodes with {config.grids} grids"
    return None


COOLCHIC_V1 = CoolChicCodec("coolchic-v1", 5, V1, {"fast": modern, "published": published_v1}, 10_000)
"""COOL-CHIC (Ladune et al., ICCV 2023)."""

COOLCHIC_V2 = CoolChicCodec("coolchic-v2", 6, V2, {"fast": modern, "published": published_v2}, 6_300)
"""COOL-CHIC v2 (Leguay et al., 2023)."""

COOLCHIC_SMALL = CoolChicCodec("coolchic-small", 7, SMALL, {"fast": modern})
"""Ours: fewer than 500 weights, for pictures of 200 pixels a side, where the networks' bytes count."""
