"""Meta-learning of an initialization for Strümpler et al.'s codec, by Reptile.

    python tests/benchmarks/reptile.py --number 1 --minutes 10

Reptile (Nichol et al., arXiv 1803.02999): from the present weights, a few steps of fitting one picture; then the present weights
move a part of the way to where those steps led; then the next picture. Strümpler et al. (ECCV 2022) use MAML with learned
learning rates on DIV2K; Reptile needs no second derivatives, no learned rates and, here, no download.

The pictures are crops, of random size, mirrored, turned and recoloured, of pictures in scikit-image's wheel, in the public
domain or CC0 as far as its documentation says (`PICTURES`). None of them is among those that this course evaluates on: Kodak,
and scikit-image's astronaut, chelsea and coffee.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.networks.differences import FOLDER, MetaConfig, meta_config
from tutorial_lib.networks.siren import Siren

PICTURES = {
    "rocket.jpg": "public domain (SpaceX)",
    "hubble_deep_field.jpg": "public domain (NASA)",
    "retina.jpg": "CC0 (Häggström)",
    "ihc.png": "no known copyright restrictions (CMMI)",
    "camera.png": "CC0 (Lav Varshney)",
    "coins.png": "no known copyright restrictions (Brooklyn Museum)",
    "brick.png": "CC0",
    "cell.png": "CC0",
}
"""File in scikit-image's data folder to licence, as ``skimage/data/_fetchers.py`` states it."""

ROWS, COLUMNS = 64, 96


def pictures(folder: Path | None = None) -> list[Tensor]:
    """The training pictures, (3, H, W).

    Args:
        folder: where the files of `PICTURES` are; default the installed scikit-image.

    Raises:
        ImageError: one is missing.
    """
    if folder is None:
        spec = importlib.util.find_spec("skimage")
        folder = Path(spec.submodule_search_locations[0]) / "data"
    return [images.load(folder / name) for name in PICTURES]


def draw(pool: list[Tensor], generator: torch.Generator) -> Tensor:
    """A picture (3, `ROWS`, `COLUMNS`) to fit: a crop of one of ``pool``, reduced, mirrored, turned, its channels shuffled."""

    def integer(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    picture = pool[integer(len(pool))]
    if integer(2):
        picture = picture.transpose(1, 2)
    largest = min(picture.shape[1] / ROWS, picture.shape[2] / COLUMNS)
    scale = largest ** float(torch.rand((), generator=generator))  # small and large crops equally often
    height, width = math.floor(scale * ROWS), math.floor(scale * COLUMNS)
    top, left = integer(picture.shape[1] - height + 1), integer(picture.shape[2] - width + 1)
    crop = images.resize(picture[:, top : top + height, left : left + width].contiguous(), (ROWS, COLUMNS))
    flips = [dim for dim in (1, 2) if integer(2)]
    return crop.flip(flips)[torch.randperm(3, generator=generator)]


def reptile(
    network: Siren,
    draw_picture: Callable[[], Tensor],
    *,
    tasks: int,
    steps: int = 16,
    learning_rate: float = 5e-4,
    outer: float = 0.1,
    seconds: float = math.inf,
    report: Callable[[int, float], None] | None = None,
) -> None:
    """Meta-learn the network's weights, in place.

    Args:
        network: with colours in [−1, 1].
        draw_picture: gives the next picture, (3, h, w), always of one size.
        tasks: pictures.
        steps: of Adam on each, without its first moment (as Nichol et al.).
        learning_rate: of Adam.
        outer: ε, the part of the way that the weights move after each picture; falls linearly to 0.
        seconds: the time after which ε is 0 at the latest.
        report: called after each picture with its index and the MSE of its last step.
    """
    first = draw_picture()
    y, x = torch.meshgrid(images.canvas_axis(first.shape[1]), images.canvas_axis(first.shape[2]), indexing="ij")
    features = network.features(torch.stack([x, y], dim=-1))
    parameters, started = list(network.parameters()), time.perf_counter()
    for task in range(tasks):
        left = 1 - max(task / tasks, (time.perf_counter() - started) / seconds)
        if left <= 0:
            return
        colours = draw_picture().movedim(0, -1)
        before = [parameter.detach().clone() for parameter in parameters]
        optimizer = torch.optim.Adam(parameters, learning_rate, betas=(0.0, 0.999), fused=True)
        for _ in range(steps):
            optimizer.zero_grad()
            error = (network.colours(features) - colours).square().mean()
            error.backward()
            optimizer.step()
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old.lerp(parameter, outer * left))
        if report:
            report(task, float(error.detach()))


def save(network: Siren, number: int, how: str, folder: Path = FOLDER) -> None:
    """Write weights and description; numbers in use are refused, since files depend on them.

    Raises:
        FileExistsError: that number is taken.
        ValueError: weights that float16 can't hold.
    """
    weights, about = folder / f"struempler-{number}.f16", folder / f"struempler-{number}.toml"
    if weights.exists():
        raise FileExistsError(f"{weights} exists, and files may start from it: take another number")
    values = torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).half()
    if not torch.isfinite(values).all():
        raise ValueError("the weights do not fit float16")
    config = network.config
    lines = [f"# {how}", "[network]", f"width = {config.width}", f"sine_layers = {config.sine_layers}"]
    lines += [f"frequencies = {config.frequencies}", "", "[pictures] # of scikit-image, and their licences"]
    lines += [f'"{name}" = "{licence}"' for name, licence in PICTURES.items()]
    folder.mkdir(exist_ok=True)
    images.write_atomically(about, ("\n".join(lines) + "\n").encode())
    images.write_atomically(weights, values.numpy().astype("<f2").tobytes())


def main() -> None:
    options = argparse.ArgumentParser(prog="python tests/benchmarks/reptile.py", description=__doc__.splitlines()[0])
    options.add_argument("--number", type=int, required=True, help="of the initialization; files will name it")
    options.add_argument("--minutes", type=float, default=10, help="of training at most (default 10)")
    options.add_argument("--tasks", type=int, default=20_000, help="pictures at most (default 20,000)")
    options.add_argument("--width", type=int, default=32, help="neurons of a sine layer (default 32)")
    options.add_argument("--frequencies", type=int, default=12, help="of the positional encoding (default 12)")
    options.add_argument("--folder", type=Path, default=FOLDER, help="where to write (default: into the package)")
    chosen = options.parse_args()
    shape = {"width": chosen.width, "sine_layers": 4, "frequencies": chosen.frequencies}
    config: MetaConfig = meta_config(chosen.number, shape)
    torch.manual_seed(0)
    network, pool, generator = Siren(config, ROWS, COLUMNS), pictures(), torch.Generator().manual_seed(0)
    errors: list[float] = []

    def report(task: int, error: float) -> None:
        errors.append(error)
        if len(errors) % 250 == 0:
            recent = errors[-250:]
            print(f"{task + 1} pictures: {-10 * math.log10(sum(recent) / len(recent)):.2f} dB", flush=True)

    seconds = 60 * chosen.minutes
    reptile(network, lambda: draw(pool, generator), tasks=chosen.tasks, seconds=seconds, report=report)
    command = f"python tests/benchmarks/reptile.py --number {chosen.number} --minutes {chosen.minutes:g}"
    how = f"Reptile on {len(errors):,} crops: {command}"
    save(network, chosen.number, how, chosen.folder)


if __name__ == "__main__":
    main()
