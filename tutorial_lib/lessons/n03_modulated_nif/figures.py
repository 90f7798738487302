"""Figures and small experiments of notebook 03 that would stand in the reader's way there."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from tutorial_lib import images, metrics, plots
from tutorial_lib.course import drawing
from tutorial_lib.networks import nif, siren
from tutorial_lib.training import OneCycle, Phase, fit

TILE = 10


# ---------------------------------------------------------------------------------------------- where the detail is


def detail(picture: Tensor) -> Tensor:
    """How much of each tile of 10×10 pixels a slight blur removes: the root of the mean square, (H/10, W/10)."""
    grey = picture.mean(0)[None, None].cpu()
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    blurred = F.conv2d(F.pad(grey, (2, 2, 2, 2), mode="reflect"), torch.outer(kernel, kernel)[None, None])
    return F.avg_pool2d((grey - blurred).square(), TILE).sqrt()[0, 0]


def quarters(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (H, W) of the calmest and of the busiest quarter of a picture's tiles, by `detail`."""
    tiles = detail(picture)
    order = tiles.flatten().argsort()
    count = len(order) // 4
    masks = []
    for chosen in (order[:count], order[-count:]):
        mask = torch.zeros(tiles.numel(), dtype=torch.bool)
        mask[chosen] = True
        masks.append(mask.view_as(tiles).repeat_interleave(TILE, 0).repeat_interleave(TILE, 1))
    return masks[0], masks[1]


def only(picture: Tensor, mask: Tensor) -> Tensor:
    """A picture with all but the mask's pixels faded to a light grey."""
    return torch.where(mask, picture.cpu(), 0.15 * picture.cpu() + 0.8)


def psnr_within(painted: Tensor, picture: Tensor, mask: Tensor) -> float:
    """PSNR over a mask's pixels alone."""
    error = (painted.cpu() - picture.cpu()).square().mean(0)[mask].mean()
    return -10 * math.log10(float(error))


def correlation(values: Tensor, tiles: Tensor) -> float:
    """Correlation between a map (H, W), averaged over tiles, and a value for each tile."""
    means = F.avg_pool2d(values[None, None].float().cpu(), TILE)[0, 0]
    return float(torch.corrcoef(torch.stack([means.flatten(), tiles.flatten()]))[0, 1])


def siren_picture(picture: Tensor, omega_0: float, steps: int) -> Tensor:
    """What a SIREN of 3 layers of 32, on (x, y), paints after a short fit with one ω₀ for all places."""
    height, width = picture.shape[1:]
    config = siren.SirenConfig(32, 3, frequencies=0, domain="canvas", omega_0=omega_0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = siren.Siren(config, height, width).to(picture.device)
    fit(network, picture, short_fit(steps, picture), progress=False)
    return network.render()


def short_fit(steps: int, picture: Tensor) -> tuple[Phase, ...]:
    """A recipe of one phase: SOAP, a quarter of the pixels in each step, one rise and fall of the learning rate."""
    points = picture.shape[1] * picture.shape[2] // 4
    return (Phase("full precision", steps, points=points, schedule=OneCycle()),)


# ---------------------------------------------------------------------------------------------- tables and guesses


# ---------------------------------------------------------------------------------------------- widths


@matplotlib.rc_context(plots.STYLE)
def shares_figure(shapes: Mapping[str, nif.NifConfig]) -> plots.Shown:
    """Where the weights of some NIFs are: a bar for each network, cut into its layers."""
    made, axis = plots.figure(11, 1.9 + 0.75 * len(shapes))
    texts = ["Weights of each layer, as bars."]
    longest = max(config.weights for config in shapes.values())
    for row, (name, config) in enumerate(shapes.items()):
        sizes = [2 + 4 * config.frequencies, *config.genesis, 3]
        names = [f"{n}→{m}" for n, m in itertools.pairwise(sizes)]
        counts = [(n + 1) * m for n, m in itertools.pairwise(sizes)]
        left = 0
        for index, (count, text) in enumerate(zip(counts, names, strict=True)):
            axis.barh(row, count, left=left, color=plots.BLUE, alpha=1 - 0.16 * index, edgecolor="white")
            if count > 0.075 * longest:
                colour = "white" if index < 2 else "black"
                axis.text(left + count / 2, row, text, ha="center", va="center", color=colour)
            left += count
        rest = config.weights - left
        axis.barh(row, rest, left=left, color=plots.ORANGE, edgecolor="white", label=None if row else "modulation network")
        axis.text(config.weights + 0.01 * longest, row, f"{config.weights:,}", va="center", fontweight="bold")
        parts = [f"{text} {count:,}" for count, text in zip(counts, names, strict=True)]
        texts.append(f"{name}: {', '.join(parts)}, modulation network {rest:,}; {config.weights:,} in all.")
    made.legend(loc="outside upper right")
    axis.set(yticks=range(len(shapes)), yticklabels=list(shapes), xlabel="weights", xlim=(0, 1.1 * longest))
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    return plots.show(made, " ".join(texts))


def widest_equal(like: nif.NifConfig, *, layers: int = 4, modulated: bool = True) -> nif.NifConfig:
    """The widest NIF with equal widths that has no more weights than another, and the same modulation network or none."""
    return _widest(like, lambda width: (width,) * layers, like.modulation if modulated else ())


def widest_unmodulated(like: nif.NifConfig) -> nif.NifConfig:
    """The widest NIF without modulation whose widths fall as another's, and that has no more weights."""
    first = like.genesis[0]
    return _widest(like, lambda width: tuple(max(1, round(width * each / first)) for each in like.genesis), ())


def _widest(like: nif.NifConfig, widths: Callable[[int], tuple[int, ...]], modulation: tuple[int, ...]) -> nif.NifConfig:
    def make(width: int) -> nif.NifConfig:
        return nif.NifConfig(widths(width), modulation, like.frequencies, like.modulation_frequencies)

    fitting = itertools.takewhile(lambda config: config.weights <= like.weights, map(make, itertools.count(1)))
    return list(fitting)[-1]


def fitted_psnr(config: nif.NifConfig, picture: Tensor, steps: int, seed: int = 0) -> float:
    """PSNR of a NIF after a short fit, before any quantization."""
    height, width = picture.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nif.Nif(config, height, width).to(picture.device)
    fit(network, picture, short_fit(steps, picture), seed=seed, progress=False)
    return metrics.psnr(network.render(), picture)


def small_pictures() -> dict[str, Tensor]:
    """The course's three sample pictures as 150×100 pixels."""
    cut = {"coffee": (0, 0, 400, 600), "chelsea": (0, 0, 300, 450), "astronaut": (0, 0, 340, 510)}
    return {name: images.resize(images.crop(images.sample(name), *box), (100, 150)) for name, box in cut.items()}


# ---------------------------------------------------------------------------------------------- what a NIF paints


@torch.no_grad()
def paint(network: nn.Module, height: int, width: int, source: tuple[int, int]) -> Tensor:
    """The picture (3, height, width) of a NIF fitted at the size ``source``."""
    return images.render_tiles(network, height, width, source, features=64)


@torch.no_grad()
def frequency_map(network: nn.Module, height: int, width: int) -> Tensor:
    """ω₀ + σ·f_m at every pixel, (height, width), with NIF's ω₀ = 30 and σ = 10."""
    device = next(network.parameters()).device
    features = network.features(images.canvas(height, width, device=device))
    return 30 + 10 * network.modulation_map(features)[..., 0]


def held_still(network: nn.Module, height: int, width: int) -> nn.Module:
    """A copy of a NIF whose f_m is the same everywhere: its mean over the picture."""
    mean = (float(frequency_map(network, height, width).mean()) - 30) / 10
    still = copy.deepcopy(network)
    still.modulation_map = lambda features: torch.full_like(features[..., :1], mean)
    return still


def around_mean(frequencies: Tensor) -> Tensor:
    """A map of frequencies as a picture: blue above the mean, orange below it."""
    return drawing.signed(frequencies - frequencies.mean())


# ---------------------------------------------------------------------------------------------- training


def in_steps(
    network: nn.Module,
    picture: Tensor,
    *,
    cycles: int,
    iterations: int,
    factor: Callable[[int], float],
    restart: Callable[[Tensor, int], Tensor] | None = None,
    peak: float = 4e-3,
) -> list[float]:
    """Fit a NIF by Adam in steps; in place, without quantization. Returns the PSNR of every iteration.

    An iteration visits the four quarters of the pixels (every second one both ways) with an optimizer step each.

    Args:
        network: with `features` and `colours`.
        picture: (3, H, W).
        cycles: how many steps.
        iterations: of each.
        factor: iteration, counted over all steps, to the factor on the learning rate.
        restart: (weight matrix, number of the step that begins) to the matrix, disturbed. Each step then begins with
            the best state so far, and every matrix but each network's first goes through this.
        peak: learning rate where the factor is 1.
    """
    height, width = picture.shape[1:]
    canvas, target = images.canvas(height, width, device=picture.device), picture.movedim(0, -1)
    corners = list(itertools.product((0, 1), (0, 1)))
    with torch.no_grad():
        parts = [(network.features(canvas[y::2, x::2]), target[y::2, x::2]) for y, x in corners]
    optimizer = torch.optim.Adam(network.parameters(), lr=peak)
    found: list[float] = []
    best, state = math.inf, copy.deepcopy(network.state_dict())
    for t in range(cycles * iterations):
        if restart and t and t % iterations == 0:
            network.load_state_dict(state)
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    if parameter.ndim == 2 and not name.endswith(".0.weight"):
                        parameter.copy_(restart(parameter, t // iterations))
        optimizer.param_groups[0]["lr"] = peak * factor(t)
        before, errors = copy.deepcopy(network.state_dict()), []
        for features, colours in parts:
            error = (network.colours(features) - colours).square().mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            errors.append(error.item())
        mean = sum(errors) / len(errors)
        found.append(-10 * math.log10(mean))
        if mean < best:
            best, state = mean, before
    network.load_state_dict(state)
    return found


@matplotlib.rc_context(plots.STYLE)
def steps_figure(runs: Mapping[str, Sequence[float]], factors: Mapping[str, Sequence[float]]) -> plots.Shown:
    """PSNR of some fits over their iterations, below their learning rates; each labelled with its best."""
    made = Figure(figsize=(10, 5.6), layout="constrained")
    low, high = made.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    texts = ["Learning rate, and PSNR, of each iteration."]
    for (name, values), colour in zip(runs.items(), plots.COLOURS, strict=False):
        low.plot(factors[name], color=colour, linewidth=1.8)
        top = max(values)
        high.plot(values, color=colour, linewidth=1.8, label=f"{name}: {top:.1f} dB")
        texts.append(f"{name}: best {top:.1f} dB, at iteration {values.index(top)} of {len(values)}.")
    low.set(ylabel="learning\nrate", yticks=(0, 1), yticklabels=("0", "peak"), ylim=(0, 1.08))
    bottom = sorted(value for values in runs.values() for value in values)
    high.set(xlabel="iteration", ylabel="PSNR (dB)", ylim=(bottom[len(bottom) // 12], bottom[-1] + 0.6))
    high.legend(loc="lower right")
    return plots.show(made, " ".join(texts))


def soap(parameters, learning_rate: float) -> torch.optim.Optimizer:
    """SOAP as this course uses it; see notebook 02."""
    from pytorch_optimizer import SOAP

    return SOAP(parameters, lr=learning_rate, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=5)


def psnr_of(losses: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """(seconds, MSE) to (seconds, PSNR of the best so far)."""
    best = itertools.accumulate((error for _, error in losses), min)
    return [(seconds, -10 * math.log10(error)) for (seconds, _), error in zip(losses, best, strict=True)]


def ends(curves: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, float]:
    """Name to the best PSNR of a race's curve of losses."""
    return {name: psnr_of(losses)[-1][1] for name, losses in curves.items()}


@matplotlib.rc_context(plots.STYLE)
def race_figure(curves: Mapping[str, Sequence[tuple[float, float]]], owner: str) -> plots.Shown:
    """A race: PSNR of the best state so far against seconds; of each team, "Adam 0.002", the best run is drawn thick."""
    teams = sorted({name.split()[0] for name in curves})
    final = ends(curves)
    winners = {team: max((name for name in curves if name.startswith(team)), key=final.__getitem__) for team in teams}
    made, axis = plots.figure(9.5, 4.8)
    texts = [f"A race of optimizers ({owner}): PSNR of the best state so far, against seconds."]
    for team, colour in zip(teams, (plots.ORANGE, plots.BLUE), strict=False):
        for name in (name for name in curves if name.startswith(team)):
            seconds, values = zip(*psnr_of(curves[name]), strict=True)
            thick = name == winners[team]
            axis.plot(seconds, values, color=colour, linewidth=3.5 if thick else 1.2, alpha=1 if thick else 0.6,
                      label=f"{name}: {final[name]:.1f} dB" if thick else None, linestyle="-" if thick else "--")  # fmt: skip
            texts.append(f"{name}: {final[name]:.1f} dB after {len(values)} steps.")
    axis.set(xlabel="seconds", ylabel="best PSNR so far (dB)", title=f"Same start, same clock ({owner})")
    axis.legend(loc="lower right", title="best of each; dashed: its other learning rates", title_fontsize=12)
    return plots.show(made, " ".join(texts))


def winner(curves: Mapping[str, Sequence[tuple[float, float]]], share: float = 1.0) -> tuple[str, float]:
    """Who leads after a share of the race's time, and by how many dB; of each team the run that is best at the end."""
    final = ends(curves)
    length = share * min(points[-1][0] for points in curves.values())
    score: dict[str, float] = {}
    for team in {name.split()[0] for name in curves}:
        name = max((name for name in curves if name.startswith(team)), key=final.__getitem__)
        score[team] = max(value for seconds, value in psnr_of(curves[name]) if seconds <= length)
    first, second = sorted(score, key=score.__getitem__, reverse=True)
    return first, score[first] - score[second]
