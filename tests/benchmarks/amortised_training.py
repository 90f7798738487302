"""Train the networks of the amortised codec, on pictures of all kinds and at all of its steps at once.

    python tests/benchmarks/photographs.py pictures
    python tests/benchmarks/amortised_training.py pictures first.pt --minutes 60
    python tests/benchmarks/amortised_training.py pictures weights.pt --start first.pt --finish --rate 2e-4 --minutes 10
    python tests/benchmarks/amortised_training.py pictures amortised-1.weights --start weights.pt --ship 250
    python tests/benchmarks/amortised_training.py pictures texture-1.weights --texture --rate 2e-4 --minutes 10

The loss is D + λR of the true rounding: distortions of pictures that are decoded from whole numbers, with gradients that go
past the rounding, and rates of latents with noise in its place (Ballé et al., 2017; Minnen and Singh, 2020). The step Δ is drawn
anew for each patch, and λ follows from it, so that one set of networks serves all rates.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from photographs import made, photographs
from torch import Tensor, nn

from tutorial_lib.amortised import weights
from tutorial_lib.amortised.picture import LAMBDA_PER_STEP, frugal_levels
from tutorial_lib.amortised.transforms import MIDDLE, Synthesis
from tutorial_lib.amortised.weights import Networks
from tutorial_lib.coding.quantizers import RateDistortionQuantizer
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.texture import noise
from tutorial_lib.perception import Discriminator, Look, relativistic_average
from tutorial_lib.runtime import choose_device, write_atomically
from tutorial_lib.training.stand_ins import straight_through

INDICES = (83, 235)
"""Steps that are trained: 6 to 162 grey levels."""

TEXTURE_INDICES = (140, 230)
"""Steps for which the synthesis for texture is trained: 21 to 146 grey levels, where it has something to make up."""

TEXTURE_KILOBYTES = 60.0
"""Of its differences from the first synthesis."""

LOOK = Look(perceptual_weight=0.5)
"""What it is trained for."""


@dataclass(frozen=True)
class Training:
    """How the networks are trained.

    Args:
        steps, batch, patch: steps, patches a step, pixels a side of them.
        learning_rate: Adam's, raised over 500 steps, then lowered to a hundredth along half a cosine.
        made: pictures made by code.
        finish: keep the analysis as it is and train all else on rounded latents as files hold them.
        seed: of everything that is drawn.
    """

    steps: int = 40_000
    batch: int = 6
    patch: int = 128
    learning_rate: float = 1e-3
    made: int = 32
    finish: bool = False
    seed: int = 0


def costs_of(networks: Networks, pictures: Tensor, indices: Tensor, finish: bool) -> tuple[Tensor, Tensor]:
    """Squared error of each picture in squared grey levels, and its bits, both for each pixel, (n,).

    Args:
        finish: the analysis is fixed, so that what a file would hold can take the place of noise.
    """
    told, steps = indices / 32 - MIDDLE, 2.0 ** (indices / 32)
    latents = networks.analysis(pictures) / steps.view(-1, 1, 1, 1)
    if finish:
        levels = latents = frugal_levels(networks, latents, told)[0]
    else:
        levels = straight_through(latents)
        latents = latents + torch.rand_like(latents) - 0.5
    pixels = pictures[0, 0].numel()
    bits = laplace_bits(latents, *networks.contexts.laws(levels.detach(), told)).flatten(1).sum(1) / pixels
    error = ((networks.synthesis(levels, steps) - pictures) * 255).square().flatten(1).sum(1) / pixels
    return error, bits


class Patches:
    """Patches of pictures, turned, mirrored, now and then reduced to half and with other colours."""

    def __init__(self, folder: Path, how: Training, generator: torch.Generator) -> None:
        self.pictures = photographs(folder)
        self.made = made(how.made, generator)
        self.areas = torch.tensor([float(picture[0].numel()) ** 0.5 for picture in self.pictures])
        self.how, self.generator = how, generator

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            yield torch.stack([self._patch() for _ in range(self.how.batch)])

    def _patch(self) -> Tensor:
        chance, where, turn = torch.rand(3, generator=self.generator), torch.rand(2, generator=self.generator), self._whole(8)
        if chance[0] < 0.2 and self.made:
            picture = self.made[self._whole(len(self.made))]
        else:
            picture = self.pictures[int(torch.multinomial(self.areas, 1, generator=self.generator))]
        factor = 2 if chance[1] < 0.25 and min(picture.shape[1:]) >= 2 * self.how.patch else 1
        side = self.how.patch * factor
        top, left = (int(w * (length - side + 1)) for w, length in zip(where, picture.shape[1:], strict=True))
        patch = picture[:, top : top + side, left : left + side].float() / 255
        if factor > 1:
            patch = nn.functional.interpolate(patch[None], scale_factor=0.5, mode="bicubic", antialias=True)[0].clamp(0, 1)
        patch = patch.rot90(turn // 2, (1, 2))
        patch = patch.flip(2) if turn % 2 else patch
        if chance[2] < 0.3:  # another white balance, more or less colour and contrast
            grey = patch.mean(0, keepdim=True)
            tints = 1 + 0.2 * torch.randn(3, 1, 1, generator=self.generator)
            patch = ((grey + (patch - grey) * (0.3 + 1.4 * where[0])) * tints).clamp(0, 1)
        return patch

    def _whole(self, below: int) -> int:
        return int(torch.randint(0, below, (), generator=self.generator))


def train(folder: Path, output: Path, how: Training, *, start: Path | None = None, minutes: float = math.inf) -> None:
    """Train, and keep the averaged networks in ``output`` every two minutes: a `torch.save` of a state dict, steps and time.

    Args:
        start: go on from this file's networks.
        minutes: end the schedule then, whatever ``how.steps`` says.
    """
    device, generator = choose_device(), torch.Generator().manual_seed(how.seed)
    torch.manual_seed(how.seed)
    networks = Networks().to(device)
    if start is not None:
        networks.load_state_dict(torch.load(start, weights_only=True)["networks"])
    networks.analysis.requires_grad_(not how.finish)
    average = {name: value.detach().clone() for name, value in networks.state_dict().items()}
    optimizer = torch.optim.Adam(networks.parameters(), how.learning_rate, betas=(0.9, 0.99))
    source, history = Patches(folder, how, generator), list[float]()
    began = saved = time.time()
    for step, patches in zip(range(how.steps), source, strict=False):
        done = max(step / how.steps, (time.time() - began) / 60 / minutes)
        if done >= 1:
            break
        rate = how.learning_rate * min((step + 1) / 500, 1.0) * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        indices = torch.randint(INDICES[0], INDICES[1] + 1, (how.batch,), generator=generator).to(device)
        error, bits = costs_of(networks, patches.to(device), indices, how.finish)
        costs = error / (LAMBDA_PER_STEP * 4.0 ** (indices / 32)) + bits
        # so that fine steps, which cost bits, don't count for all
        loss = (costs / costs.detach().sqrt()).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimizer.step()
        keep = min(0.999, (step + 1) / (step + 10))
        for name, value in networks.state_dict().items():
            average[name].lerp_(value, 1 - keep)
        history.append(float(loss.detach()))
        if time.time() - saved > 120 or step == how.steps - 1:
            saved = time.time()
            _save(output, average, step + 1, saved - began)
            recent = history[-1000:]
            print(
                f"step {step + 1}, {(saved - began) / 60:.1f} min, rate {rate:.1e}: {sum(recent) / len(recent):.4f}", flush=True
            )
    _save(output, average, len(history), time.time() - began)


def train_texture(folder: Path, output: Path, how: Training, look: Look, minutes: float, start: Path | None = None) -> None:
    """Train a second synthesis on what the shipped networks write, by a look's losses, and keep its file in ``output``.

    The latents stay, so that both syntheses decode the same files; a `Discriminator` is trained beside, and sees the first
    synthesis's picture.
    """
    device, generator = choose_device(), torch.Generator().manual_seed(how.seed)
    torch.manual_seed(how.seed)
    base = weights.load(weights.LATEST).to(device)
    texture, judge = weights.for_texture(base.synthesis).to(device), Discriminator().to(device)
    if start is not None:
        with torch.no_grad():
            for name, change in weights.unpack(texture, start.read_bytes()[4:]).items():
                texture.get_parameter(name).add_(change.to(device))
    average = copy.deepcopy(texture)
    optimizers = [torch.optim.Adam(module.parameters(), how.learning_rate, betas=(0.5, 0.99)) for module in (texture, judge)]
    source = Patches(folder, how, generator)
    began = saved = time.time()
    for step, patches in enumerate(source):
        done = max(step / how.steps, (time.time() - began) / 60 / minutes)
        pictures, indices = patches.to(device), torch.randint(*TEXTURE_INDICES, (how.batch,), generator=generator).to(device)
        steps = 2.0 ** (indices / 32)
        with torch.no_grad():
            latents = base.analysis(pictures) / steps.view(-1, 1, 1, 1)
            levels, _ = frugal_levels(base, latents, indices / 32 - MIDDLE)
            structure = base.synthesis(levels, steps).clamp(0, 1)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = how.learning_rate * (1.0 if done < 0.6 else max(2.5 * (1 - done), 0.02))
        planes = [noise(how.batch * step + index, how.patch, how.patch) for index in range(how.batch)]
        decoded = texture(levels, steps, torch.stack(planes).to(device))
        loss = torch.stack([look.distance(each)(own) for each, own in zip(pictures, decoded, strict=True)]).mean()
        if look.adversarial_weight:
            adversarial = relativistic_average(judge(decoded, structure), judge(pictures, structure).detach())
            loss = loss + look.adversarial_weight * adversarial
        _descend(optimizers[0], loss)
        if look.adversarial_weight:
            _descend(optimizers[1], relativistic_average(judge(pictures, structure), judge(decoded.detach(), structure)))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), texture.parameters(), strict=True):
                mean.lerp_(value, max(0.005, 1 / (step + 2)))
        if done >= 1 or time.time() - saved > 60:
            saved = time.time()
            write_atomically(output, ship_texture(base, average, patches))
            print(f"step {step + 1}, {(saved - began) / 60:.1f} min: {float(loss.detach()):.4f}", flush=True)
        if done >= 1:
            return


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def ship_texture(base: Networks, texture: Synthesis, patches: Tensor) -> bytes:
    """The checksum of the networks it belongs to, and its differences from their synthesis."""
    origin, difference = weights.for_texture(base.synthesis), copy.deepcopy(texture).requires_grad_(False)
    indices = torch.linspace(*TEXTURE_INDICES, len(patches)).round()
    steps = 2.0 ** (indices / 32)
    latents = (base.analysis(patches) / steps.view(-1, 1, 1, 1)).round()
    planes = torch.stack([noise(index, *patches.shape[2:]) for index in range(len(patches))])
    for parameter, start in zip(difference.parameters(), origin.parameters(), strict=True):
        parameter -= start

    def outputs() -> Tensor:
        both = zip(origin.named_parameters(), difference.parameters(), strict=True)
        whole = {name: start + change for (name, start), change in both}
        return torch.func.functional_call(origin, whole, (latents, steps, planes)) * (255 / steps.view(-1, 1, 1, 1))

    quantizer = RateDistortionQuantizer(8000 * TEXTURE_KILOBYTES)
    quantizer.calibrate(difference, outputs)
    return weights.checksum(weights.LATEST).to_bytes(4, "little") + weights.pack(difference, quantizer.steps)


@torch.no_grad()
def ship(networks: Networks, patches: Tensor, kilobytes: float) -> bytes:
    """The file of trained networks: each tensor's step by what its error does to pictures and rates, as J counts them.

    Args:
        patches: (n, 3, H, W), that J is looked at with.
        kilobytes: that the file may take.
    """
    indices = torch.linspace(*INDICES, len(patches)).round()
    steps = 2.0 ** (indices / 32)
    latents = (networks.analysis(patches) / steps.view(-1, 1, 1, 1)).round()

    def outputs() -> Tensor:
        analysed = networks.analysis(patches) / steps.view(-1, 1, 1, 1)
        decoded = networks.synthesis(latents, steps) * (255 / (LAMBDA_PER_STEP**0.5 * steps.view(-1, 1, 1, 1)))
        location, log2_scale = networks.contexts.laws(latents, indices / 32 - MIDDLE)
        # a scale wrong by a factor of 2ˣ costs about x²/3 bits a symbol, a location wrong by x scales x²/2
        laws = [0.6 * log2_scale, 0.7 * location / log2_scale.exp2().clamp_min(0.5)]
        return torch.cat([part.flatten() for part in (decoded, analysed / LAMBDA_PER_STEP**0.5, *laws)])

    quantizer = RateDistortionQuantizer(8000 * kilobytes)
    quantizer.calibrate(networks, outputs)
    return weights.pack(networks, quantizer.steps)


def _save(output: Path, average: dict[str, Tensor], steps: int, seconds: float) -> None:
    import io

    place = io.BytesIO()
    torch.save({"networks": average, "steps": steps, "seconds": seconds}, place)
    write_atomically(output, place.getvalue())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the networks of the amortised codec.")
    parser.add_argument("pictures", type=Path, help="a folder that photographs.py filled")
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=Training.steps)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end the schedule after so many")
    parser.add_argument("--rate", type=float, default=Training.learning_rate, help="the learning rate")
    parser.add_argument("--finish", action="store_true", help="all but the analysis, on latents as files hold them")
    parser.add_argument("--start", type=Path, help="go on from these networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--texture", action="store_true", help="train the second synthesis for the shipped networks instead")
    parser.add_argument("--ship", type=float, metavar="KILOBYTES", help="don't train: write the file of --start's networks")
    options = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    how = Training(steps=options.steps, learning_rate=options.rate, seed=options.seed, finish=options.finish)
    if options.texture:
        how = replace(how, patch=96, learning_rate=options.rate, steps=options.steps)
        train_texture(options.pictures, options.output, how, LOOK, options.minutes, options.start)
    elif options.ship:
        networks = Networks().requires_grad_(False)
        networks.load_state_dict(torch.load(options.start, weights_only=True)["networks"])
        generator = torch.Generator().manual_seed(options.seed)
        patches = next(iter(Patches(options.pictures, replace(how, batch=12, made=4), generator)))
        write_atomically(options.output, ship(networks, patches, options.ship))
    else:
        train(options.pictures, options.output, how, start=options.start, minutes=options.minutes)


if __name__ == "__main__":
    main()
