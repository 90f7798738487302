"""The codecs of latent grids: COOL-CHIC v1 and v2, and a small one of ours for small pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.codecs.base import Codec
from tutorial_lib.codecs.plans import MAX_REDUCTION, Budget, CodecError, Effort, Plan, Wishes, reduced_size
from tutorial_lib.codecs.recipes import modern, published_v1, published_v2
from tutorial_lib.coding.bitstream import MAX_OPERATIONS, BitstreamError, Reader, varint
from tutorial_lib.coding.quantizers import Quantizer
from tutorial_lib.coding.steps import QuantizedTensor, Step
from tutorial_lib.latents.coding import decode_latents, encode_latents, operations
from tutorial_lib.latents.frozen import FrozenLatents
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.packing import (
    decode_networks,
    encode_networks,
    gather,
    groups_of,
    scatter,
    symbols_bits,
    to_group_symbols,
)
from tutorial_lib.latents.rounding import SAVING, curvature_pixels, quantize_networks
from tutorial_lib.latents.shape import LARGE, SMALL, V1, V2, GridsConfig, operations_per_pixel
from tutorial_lib.latents.texture import Texture, unpack_texture
from tutorial_lib.runtime import threads_for
from tutorial_lib.training import GridRecipe, Report, grids
from tutorial_lib.training.bands import count_of
from tutorial_lib.training.loop import median_seconds
from tutorial_lib.training.tradeoff import DEFAULT_LAMBDA, RateTarget, expected_bpp, largest_bpp, mse_lambda

MAX_GRIDS = 16
HEADER_BYTES = 31
"""What a file holds beside networks and latents, about: header, section table, configuration, checksum."""

BITS_PER_WEIGHT = 7.0
"""What a weight of the networks costs, about: a guess that steering starts from."""

STEP_OVERHEAD = 5e7
"""What a step costs beside its arithmetic, in multiply-adds: a few hundred small operations."""

FINE = 8
"""The step 2⁻⁸ does for any group of weights: twice the bytes of the best steps, and no visible loss."""

ITERATIONS = 2
"""Steps of a fit, at most, for each that a budget grants networks on coordinates: 6,000 on a laptop."""

SHARE = 0.4
"""Of a budget's multiply-adds for pictures of several bands: those of latent grids are in skinny products, and take longer."""

ENOUGH_PASSES = 150
"""How often a fit should see all of a picture; with fewer looks at more pixels the latents don't settle."""


@dataclass(frozen=True)
class Grids:
    """The family of codecs whose representation is a `LatentGrids`; see `base.Family`.

    Args:
        template: the shape; only the number of grids differs from file to file.
        methods: recipes by name, given a number of iterations.
        published_iterations: of "published" under the budget "gpu"; smaller budgets shorten it.
    """

    template: GridsConfig
    methods: Mapping[str, Callable[[int], GridRecipe]]
    published_iterations: int = 0
    sections: ClassVar[tuple[str, ...]] = ("networks", "latents")
    takes_lambda: ClassVar[bool] = True

    def plan(self, name: str, picture: Tensor, wishes: Wishes, budget: Budget) -> Plan:
        height, width = picture.shape[1:]
        config = self.template if wishes.config is None else wishes.config
        if not isinstance(config, GridsConfig) or replace(config, grids=self.template.grids) != self.template:
            raise CodecError(f"{name} has its own networks and 1 to {MAX_GRIDS} grids, not {config}")
        if not 1 <= config.grids <= MAX_GRIDS:
            raise CodecError(f"{name} has 1 to {MAX_GRIDS} grids, not {config.grids}")
        if problem := self.problem(config, height, width):
            raise CodecError(problem)
        iterations = wishes.iterations
        if iterations is None:
            banded = wishes.method == "fast"
            bands = count_of(height, width) if banded else 1
            iterations = _affordable(config, height * width, bands, budget)
            if wishes.patient:
                iterations = max(iterations, ENOUGH_PASSES * bands)
            if not banded:
                iterations = min(iterations, self.published_iterations)
        recipe = self.methods[wishes.method](iterations)
        expected = self._expected_bytes(name, config, picture, recipe, wishes)
        aim: dict[str, Any] = {"target_bpp": wishes.bpp, "lmbda": wishes.lmbda, "steer": wishes.steer}
        return Plan(name, config, (height, width), recipe, wishes.loss, expected, HEADER_BYTES, **aim)

    def _expected_bytes(self, name: str, config: GridsConfig, picture: Tensor, recipe: GridRecipe, wishes: Wishes) -> int:
        """Of the file, about; a `CodecError` for a rate that networks alone exceed, or that latents have no use for."""
        pixels = picture[0].numel()
        least = HEADER_BYTES + math.ceil(config.weights * BITS_PER_WEIGHT / 8)
        if wishes.bpp is None:
            lmbda = mse_lambda(wishes.loss or "mse", picture, wishes.lmbda) if wishes.lmbda else DEFAULT_LAMBDA
            return math.ceil(expected_bpp(config, picture, lmbda, recipe.iterations) * pixels / 8) + least
        target = wishes.bpp * pixels / 8
        if target < 1.1 * least:
            rate = f"{wishes.bpp:g} bpp is {int(target):,} bytes for this picture"
            raise CodecError(f"{rate}; {name}'s networks alone take about {least}")
        most = largest_bpp(config, picture) + 8 * least / pixels
        if wishes.bpp > most:
            finest = f"beyond about {most:.2g} bpp its latents would hold less than a grey level"
            raise CodecError(f"{wishes.bpp:g} bpp is more than {name} can use for this picture: {finest}")
        return math.ceil(target)

    def reduction(self, config: GridsConfig | None, height: int, width: int, budget: Budget) -> int:
        """The least with which a fit sees the picture `ENOUGH_PASSES` times, or all of it in each step."""
        for reduction in range(1, MAX_REDUCTION):
            rows, columns = reduced_size(height, width, reduction)
            bands = count_of(rows, columns)
            if bands == 1 or _affordable(config or self.template, rows * columns, bands, budget) >= ENOUGH_PASSES * bands:
                return reduction
        return MAX_REDUCTION

    def problem(self, config: GridsConfig, height: int, width: int) -> str | None:
        if operations(config, height, width) > MAX_OPERATIONS:
            return f"{width}×{height} pixels are more than this program decodes with {config.grids} grids"
        return None

    def build(self, config: GridsConfig, height: int, width: int) -> LatentGrids:
        return LatentGrids(config, height, width)

    def quantizer(self, plan: Plan, wished: Quantizer | None) -> Quantizer | None:
        if wished is not None:
            raise CodecError(f"{plan.codec} chooses the steps of its networks itself and takes no quantizer")
        return None

    def fit(
        self, representation: LatentGrids, picture: Tensor, plan: Plan, quantizer: Quantizer | None, **options: Any
    ) -> Report:
        target, loss = None, plan.loss or "mse"
        if plan.target_bpp is not None:
            guess = plan.config.weights * BITS_PER_WEIGHT / 8 + HEADER_BYTES
            picture = picture.to(representation.latents.device)

            def measure(rounded: LatentGrids, lmbda: float) -> float:
                """Of the file as it would be now: networks, rounded to the nearest, and header."""
                steps = quantize_networks(FrozenLatents(rounded, picture, lmbda, loss), by_curvature=False)
                # only the end is worth rounding by curvature
                return (1 - SAVING) * len(encode_networks(rounded, steps)) + HEADER_BYTES

            target = RateTarget(plan.target_bpp, guess, measure)
        aim: dict[str, Any] = {"lmbda": plan.lmbda, "target": target, "steer": plan.steer, "loss": loss}
        return grids.fit(representation, picture, plan.recipe, **aim, **options)

    def round(
        self,
        representation: LatentGrids,
        picture: Tensor,
        plan: Plan,
        report: Report,
        effort: Effort,
        quantizer: Quantizer | None,
        seed: int,
    ) -> Report:
        """ "thorough": by curvature; "quick": the best step for each group of weights; "at once": a fine step for all."""
        picture = picture.to(representation.latents.device)
        with threads_for(self.operations_per_pixel(plan.config, plan.height, plan.width) * plan.height * plan.width):
            frozen = FrozenLatents(representation, picture, cast(float, report.lmbda), plan.loss or "mse")
            if effort == "at once":
                exponents = _round_finely(representation)
            else:
                exponents = quantize_networks(frozen, by_curvature=effort == "thorough")
            psnr, rate = frozen.psnr(), frozen.bits() / frozen.pixels
        steps = {group.name: 2.0**-e for group, e in zip(groups_of(representation), exponents, strict=True)}
        return replace(report, steps=steps, best_psnr=psnr, bpp=rate)

    def estimate_seconds(self, representation: LatentGrids, picture: Tensor, plan: Plan) -> float:
        steered = plan.target_bpp is not None and plan.steer
        fit = grids.estimate_seconds(representation, picture, plan.recipe, corrections=1 if steered else 0)
        frozen = FrozenLatents(representation, picture.to(representation.latents.device), 1e-3, "mse")
        half = median_seconds(frozen.distortion, 1)
        weights = sum(parameter.numel() for name, parameter in representation.networks().items() if "context" not in name)
        by_steps = 12 * len(groups_of(representation))
        looks = 3 * weights * min(curvature_pixels(weights) / frozen.pixels, 1.0)
        return fit + half * ((8 if steered else 1) * by_steps + looks)

    def write_config(self, config: GridsConfig) -> bytes:
        return varint(config.grids)

    def read_config(self, reader: Reader) -> GridsConfig:
        grids = reader.varint()
        if not 1 <= grids <= MAX_GRIDS:
            raise BitstreamError(f"{grids} grids are impossible here")
        return replace(self.template, grids=grids)

    def pack(self, representation: LatentGrids, steps: Mapping[str, Step]) -> dict[str, bytes]:
        exponents = [round(-math.log2(steps[group.name])) for group in groups_of(representation)]
        return {"networks": encode_networks(representation, exponents), "latents": encode_latents(representation)}

    def unpack(self, representation: LatentGrids, sections: Mapping[str, bytes]) -> dict[str, QuantizedTensor | Tensor]:
        """ "grid 0" … and the groups of network weights."""
        groups = decode_networks(representation, sections["networks"])
        decode_latents(representation, sections["latents"])
        tensors: dict[str, QuantizedTensor | Tensor] = {
            f"grid {level}": QuantizedTensor(grid.numpy().astype(np.int32), 1.0)
            for level, grid in enumerate(representation.symbols())
        }
        for group, (exponent, symbols) in zip(groups_of(representation), groups, strict=True):
            tensors[group.name] = QuantizedTensor(symbols, 2.0**-exponent)
        return tensors

    def second_look(self, representation: LatentGrids, body: bytes | None) -> Texture:
        """The texture that a file has behind its end."""
        if body is None:
            raise CodecError("this file has one look; inr retouch gives it a second one")
        return unpack_texture(representation, body)

    def describe(
        self, representation: LatentGrids, tensors: Mapping[str, QuantizedTensor | Tensor], sections: Mapping[str, bytes]
    ) -> list[dict[str, Any]]:
        """Bits are the context model's estimate for grids, and what a group's code takes for weights."""
        grids = representation.symbols()
        bands = [band for piece in representation.bands() for band in piece]
        rows = []
        for level, (name, tensor) in enumerate(tensors.items()):
            tensor = cast(QuantizedTensor, tensor)
            symbols = tensor.symbols
            if level >= len(grids):
                bits = symbols_bits(symbols)
            elif symbols.any():
                own = [band for band in bands if band.level == level]
                with torch.no_grad():
                    bits = sum(float(representation.bits(grids, [band]).sum()) for band in own)
            else:
                bits = 0.0
            row = {"name": name, "shape": list(symbols.shape), "law": None, "step": tensor.step}
            rows.append(row | {"bound": int(np.abs(symbols).max()), "bits_per_weight": bits / symbols.size})
        return rows

    def operations_per_pixel(self, config: GridsConfig, height: int, width: int) -> float:
        return operations_per_pixel(config, height, width)


def _affordable(config: GridsConfig, pixels: int, bands: int, budget: Budget) -> int:
    """Steps that a budget buys, each of which sees one of so many bands."""
    step = config.weights * pixels / bands + STEP_OVERHEAD
    granted = budget.operations * (1.0 if bands == 1 else SHARE)
    return int(min(max(granted / step, 20), ITERATIONS * budget.iterations))


def _round_finely(representation: LatentGrids) -> list[int]:
    """Every weight to the nearest multiple of 2⁻⁸, in no time; the exponents."""
    groups = groups_of(representation)
    for group in groups:
        symbols = torch.from_numpy(to_group_symbols(gather(representation, group), FINE, group).astype(np.float32))
        scatter(representation, group, symbols * 2.0**-FINE)
    return [FINE] * len(groups)


COOLCHIC_V1 = Codec("coolchic-v1", 5, Grids(V1, {"fast": modern, "published": published_v1}, 10_000))
"""COOL-CHIC (Ladune et al., ICCV 2023)."""

COOLCHIC_V2 = Codec("coolchic-v2", 6, Grids(V2, {"fast": modern, "published": published_v2}, 6_300))
"""COOL-CHIC v2 (Leguay et al., 2023)."""

COOLCHIC_SMALL = Codec("coolchic-small", 7, Grids(SMALL, {"fast": modern}))
"""Ours: fewer than 500 weights, for pictures of 200 pixels a side, where the networks' bytes count."""

COOLCHIC_LARGE = Codec("coolchic-large", 8, Grids(LARGE, {"fast": modern}))
"""Ours: 14 neighbours in residual layers with a linear skip, two convolutions at the end, for 150,000 pixels and more."""
