"""Figures and small experiments of notebook 05 that would stand in the reader's way there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from tutorial_lib import codecs, images, losses, metrics, plots
from tutorial_lib.course import drawing
from tutorial_lib.course.drawing import grey, reveal, table
from tutorial_lib.course.session import sample_file
from tutorial_lib.losses import Loss

LOOKS = {
    name: {"color": colour, "marker": marker}
    for name, colour, marker in zip(losses.PAPER_LOSSES, plots.COLOURS, plots.MARKERS, strict=False)
}
"""A colour and a marker for each of the five losses, the same in all figures."""

_STRANGERS: dict[str, Loss] = {"A": losses.log_cosh, "B": losses.l1, "C": losses.mse}
_MATCH = "BCA"  # |d|, d², log cosh d

# ---------------------------------------------------------------------------------------------- one pixel


def along(loss: Loss, reach: float, count: int = 401) -> tuple[Tensor, Tensor, Tensor]:
    """Differences d from −reach to reach, a loss of pictures of one value that differ by d, and its slope."""
    d = torch.linspace(-reach, reach, count).requires_grad_()
    values = torch.stack([loss(each, torch.zeros_like(each)) for each in d.reshape(-1, 1, 1, 1)])
    (slopes,) = torch.autograd.grad(values.sum(), d)
    return d.detach(), values.detach(), slopes


@matplotlib.rc_context(plots.STYLE)
def losses_figure(shown: Mapping[str, Loss], title: str, reach: float = 2.5) -> plots.Shown:
    """Losses of one pixel as curves over its difference d, and beside them their slopes: the force on the pixel."""
    made, (left, right) = plots.figure(13, 4.4, 2)
    texts = [f"{title}. Curves over the difference d from {-reach:g} to {reach:g}."]
    for (name, loss), style in zip(shown.items(), ("-", "--", "-."), strict=False):
        d, values, slopes = along(loss, reach)
        left.plot(d, values, label=name, linestyle=style)
        right.plot(d, slopes, label=name, linestyle=style)
        half = int((d - 0.5).abs().argmin())
        texts.append(
            f"{name}: {float(values[half]):.2f} at d = 0.5 and {float(values[-1]):.2f} at d = {reach:g}; "
            f"slope {float(slopes[half]):.2f} at 0.5 and {float(slopes[-1]):.2f} at {reach:g}."
        )
    left.set(xlabel="d = prediction − target", title="the loss", ylim=(-0.1, 1.3 * reach))
    right.set(xlabel="d = prediction − target", title="its slope: how hard it pulls", ylim=(-1.3 * reach, 1.3 * reach))
    left.legend(loc="upper center", ncols=len(shown))
    made.suptitle(title)
    return plots.show(made, " ".join(texts))


def strangers_figure() -> plots.Shown:
    """Three losses without their names."""
    return losses_figure(_STRANGERS, "Three losses of one pixel")


def match(mine: str | None) -> plots.Shown:
    """A reader's letters for |d|, d² and log cosh d beside the right ones; folded while there are none."""
    return reveal("|d|, d² and log cosh d", mine, _MATCH)


@matplotlib.rc_context(plots.STYLE)
def errors_figure(decoded: Tensor, original: Tensor, loss: Loss, owner: str, reach: float = 0.15) -> plots.Shown:
    """How large the differences of a decoded picture are, and log cosh beside d² and d²/2 in that range."""
    made, (left, right) = plots.figure(13, 4, 2)
    d = (decoded - original).flatten().cpu()
    left.hist(d.numpy(), bins=61, range=(-reach, reach), color=plots.SKY, density=True)
    left.set(xlabel="d", yticks=[], title=f"all differences of a file of {metrics.psnr(decoded, original):.1f} dB")
    left.grid(False)
    within = float((d.abs() < reach).double().mean())
    x, values, _ = along(loss, reach)
    right.plot(x, x**2, color=plots.ORANGE, label="d²")
    right.plot(x, values, color=plots.BLUE, linewidth=6, alpha=0.5, label=f"log cosh d ({owner})")
    right.plot(x, x**2 / 2, color="black", linestyle=":", label="d²/2")
    right.set(xlabel="d", title="the losses where these are")
    right.legend()
    gap = float((values - x**2 / 2).abs().max() / (reach**2 / 2))
    return plots.show(
        made,
        f"Left: a histogram of the differences of a decoded picture, a narrow peak around 0; {within:.1%} lie between {-reach:g} "
        f"and {reach:g}. Right: in this range log cosh d ({owner}) lies on d²/2, with a largest gap of {gap:.1%}; d² is twice "
        "as high.",
    )


# ---------------------------------------------------------------------------------------------- what no pixel knows


def equally_wrong(picture: Tensor, quality: int = 8) -> dict[str, Tensor]:
    """Four versions of a picture with about one mean squared error: brighter, noisy, blurred, and a JPEG, which sets it."""
    jpeg = codecs.get("jpeg")
    decoded = jpeg.decode(jpeg.encode(picture, quality=quality)).to(picture)
    brighter, noisy, _ = drawing.equally_wrong(picture, decoded)
    error, low, high = metrics.mse(decoded, picture), 0.1, 20.0
    for _ in range(20):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if metrics.mse(blurred(picture, middle), picture) < error else (low, middle)
    return {"brighter": brighter, "noisy": noisy, "blurred": blurred(picture, high), "JPEG": decoded}


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """A picture under a Gaussian of this width in pixels, its border repeated."""
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=picture.device) / sigma) ** 2)
    weights = (weights / weights.sum()).expand(3, 1, 1, -1)
    across = F.conv2d(F.pad(picture[None], (reach, reach, 0, 0), mode="replicate"), weights, groups=3)
    return F.conv2d(F.pad(across, (0, 0, reach, reach), mode="replicate"), weights.mT, groups=3)[0]


def ssim_map(picture: Tensor, original: Tensor) -> Tensor:
    """SSIM of each window of 11×11 pixels (Gaussian, σ = 1.5), mean of the channels: (H − 10, W − 10)."""
    places = torch.arange(-5.0, 6)
    line = torch.exp(-0.5 * (places / 1.5) ** 2)
    window = (torch.outer(line, line) / line.sum() ** 2).expand(3, 1, 11, 11)
    x, y = (each.cpu()[None] for each in (picture, original))
    mean_x, mean_y, xx, yy, xy = (F.conv2d(each, window, groups=3) for each in (x, y, x * x, y * y, x * y))
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
    return (luminance * structure).mean(1)[0]


def where_maps(picture: Tensor, original: Tensor) -> tuple[Tensor, Tensor]:
    """Where d² and where 1 − SSIM are large, as grey pictures of one size; white is most."""
    error = (picture - original).square().mean(0)[5:-5, 5:-5]
    return grey(error), grey(1 - ssim_map(picture, original))


@matplotlib.rc_context(plots.STYLE)
def forgiveness_figure(
    versions: Mapping[str, Tensor], original: Tensor, terms: Mapping[str, Loss], title: str = ""
) -> plots.Shown:
    """How much each term minds each damage, as a share of what it minds most."""
    made, axes = plots.figure(13, 3.6, len(terms), sharey=True)
    texts = [f"{title}. Bars, for each term as a share of its largest."]
    for (name, term), axis in zip(terms.items(), axes, strict=True):
        with torch.no_grad():
            values = [float(term(version, original)) for version in versions.values()]
        axis.barh(list(versions), [value / max(values) for value in values], color=LOOKS.get(name, {}).get("color", plots.PURPLE))
        for place, value in enumerate(values):
            axis.text(value / max(values) + 0.02, place, f"{value:.3g}", va="center", fontsize=13)
        axis.set(title=name, xlim=(0, 1.4), xticks=[])
        axis.grid(False)
        texts.append(f"{name}: " + ", ".join(f"{v} {value:.3g}" for v, value in zip(versions, values, strict=True)) + ".")
    axes[0].invert_yaxis()
    made.suptitle(title)
    return plots.show(made, " ".join(texts))


def scales_table(picture: Tensor, original: Tensor, terms: Mapping[str, Loss]) -> plots.Shown:
    """What each term says of one decoded picture, and how hard it pulls at all pixels together."""
    rows = {}
    for name, term in terms.items():
        moved = picture.clone().requires_grad_()
        value = term(moved, original)
        (pull,) = torch.autograd.grad(value, moved)
        rows[name] = (f"{value.item():.5f}", f"{1000 * pull.norm().item():.2f}")
    return table(["value", "length of the gradient · 1000"], rows, "one decoded picture and its original")


# ---------------------------------------------------------------------------------------------- faults with names


@dataclass(frozen=True)
class Fault:
    """A fault to point at: original and decoded crop, the tip of the arrow (x, y), and what there is to see."""

    original: Tensor
    decoded: Tensor
    at: tuple[float, float]
    looks: str


def louder(picture: Tensor, factor: float = 1.6) -> Tensor:
    """A picture with more contrast."""
    middle = picture.flatten(1).median(1).values[:, None, None]
    return (middle + factor * (picture - middle)).clamp(0, 1)


def faults() -> list[Fault]:
    """Three faults of real files and real networks of this project."""
    cat = images.reduce(images.sample("chelsea"), size=(200, 300))
    smooth = codecs.decode(sample_file("chelsea-loss-mse.inr")).cpu()
    coffee = images.reduce(images.sample("coffee"), factor=4)
    rings = codecs.decode(sample_file("coffee-coin-0.5.inr")).cpu()
    face = images.crop(images.sample("chelsea"), 24, 120, 192, 240)
    sampled = codecs.decode(sample_file("chelsea.inr"), size=(48, 60)).cpu()
    fair = images.reduce(face, size=(48, 60))
    fur, saucer, brow = (52, 126, 60, 80), (42, 10, 36, 48), (0, 0, 30, 40)
    return [
        Fault(
            images.crop(cat, *fur), images.crop(smooth, *fur), (38, 29),
            "the fine fur between the eyes has become an even patch.",
        ),
        Fault(
            louder(images.crop(coffee, *saucer)), louder(images.crop(rings, *saucer)), (20, 15),
            "waves in a saucer that is smooth in the original, along its edge.",
        ),
        Fault(
            images.crop(fair, *brow), images.crop(sampled, *brow), (15, 9),
            "fine fur is broken into dots.",
        ),
    ]  # fmt: skip


@matplotlib.rc_context(plots.STYLE)
def faults_figure(faults: Sequence[Fault]) -> plots.Shown:
    """Originals above, what came out below, an arrow at the same place in both."""
    made = Figure(figsize=(4.6 * len(faults), 7.6), layout="constrained")
    texts = ["Pairs of pictures, the original above and what came out below, with an arrow at the fault."]
    for letter, above, below, fault in zip("ABC", *made.subplots(2, len(faults)), faults, strict=True):
        for axis, picture, colour in ((above, fault.original, plots.GREEN), (below, fault.decoded, plots.RED)):
            axis.imshow(images.to_uint8(picture), interpolation="nearest")
            height, width = picture.shape[1:]
            x, y = fault.at
            tail = (x + (-0.28 if x > width / 2 else 0.28) * width, y + (-0.28 if y > height / 2 else 0.28) * height)
            arrow = {"arrowstyle": "-|>", "linewidth": 3.5, "color": colour, "mutation_scale": 28, "shrinkB": 0}
            drawn = axis.annotate("", (x, y), tail, arrowprops=arrow)
            drawn.arrow_patch.set_path_effects([withStroke(linewidth=7, foreground="white")])
            axis.set_axis_off()
        above.set_title(letter, fontweight="bold", fontsize=19)
        texts.append(f"{letter}: {fault.looks}")
    return plots.show(made, " ".join(texts))


# ---------------------------------------------------------------------------------------------- a fit of one's own


SAVED_LPIPS = {"l1": 0.160, "mse": 0.155, "log-cosh": 0.150, "log-cosh+ssim": 0.125, "l1+ssim": 0.131}
"""What `lpips` says of the five files of Chelsea, for machines without its weights."""


def lpips(picture: Tensor, original: Tensor) -> float | None:
    """LPIPS with SqueezeNet, whose weights are small; None where they are not on this machine: nothing is downloaded unasked."""
    if "squeeze" in metrics.lpips_weights_missing():
        return None
    try:
        return metrics.lpips(picture, original, network="squeeze")
    except metrics.MetricError:
        return None


def lpips_remark(original: Tensor, saved: bool = False) -> str:
    """A sentence where LPIPS is not to be had, else nothing; ``saved``: there are saved numbers in its place."""
    if lpips(original, original) is not None:
        return ""
    stands_in = "LPIPS: saved numbers" if saved else "LPIPS is n/a"
    return f"{stands_in}, since its weights are not on this machine. All else goes on."


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many digits behind the point, or n/a."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def fits_table(files: Mapping[str, bytes], original: Tensor, owner: str) -> plots.Shown:
    """Rate and quality of files of one picture."""
    rows = {}
    for name, data in files.items():
        picture = codecs.decode(data).cpu()
        rows[name] = (
            f"{metrics.bits_per_pixel(data, original):.3f}",
            f"{metrics.psnr(picture, original):.2f}",
            f"{metrics.ssim(picture, original):.4f}",
            number(lpips(picture, original), 3),
        )
    caption = f"two fits that differ in the loss ({owner}). {lpips_remark(original)}".strip()
    return table(["bits per pixel", "PSNR (dB)", "SSIM", "LPIPS (less is better)"], rows, caption)
