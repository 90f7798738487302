"""A fit of latent grids to watch, and what the reader's own picture becomes."""

from __future__ import annotations

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib import codecs, images, metrics, plots, widgets
from tutorial_lib.course.live import Screen
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.lessons.n04_latent_grids.figures import bits_per_pixel_map, heat

SHARES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Of a fit's steps, when a `Watch` draws."""

KEPT = (0.01, 0.2, 1.0)
"""Those that stay in the figure."""


class Watch:
    """A figure that is drawn anew in its place while a fit runs: what it paints, and where its bits are.

    Three moments stay side by side, so that a saved notebook shows how they formed; the last column is the present.

    Args:
        picture: (3, H, W), what is fitted.
        steps: of the fit.
        owner: whose code is at work, for the title.
    """

    def __init__(self, picture: Tensor, steps: int, owner: str) -> None:
        self.picture, self.steps, self.owner = picture.cpu(), steps, owner
        self.kept: list[tuple[int, Tensor, Tensor]] = []
        self.screen = Screen()

    def __call__(self, done: int, model: LatentGrids) -> None:
        """Look at a model after ``done`` steps; most of the time this does nothing."""
        moments = {max(round(share * self.steps), 1): share for share in SHARES}
        if done not in moments:
            return
        now = (done, *seen(model))
        self.screen.draw(self.figure([*self.kept, now]))
        if moments[done] in KEPT:
            self.kept.append(now)

    @matplotlib.rc_context(plots.STYLE)
    def figure(self, moments: list[tuple[int, Tensor, Tensor]]) -> plots.Shown:
        """Moments as (step, painted picture, bits of each pixel): pictures above, maps below."""
        height, width = self.picture.shape[1:]
        made = Figure(figsize=(8.6, 1.4 + 5.7 * height / width), layout="constrained")
        axes = made.subplots(2, len(KEPT))
        reach = float(moments[-1][2].flatten().quantile(0.99))
        texts = []
        for column, (step, painted, bits) in enumerate(moments):
            psnr, rate = metrics.psnr(painted, self.picture), float(bits.mean())
            above, below = axes[0, column], axes[1, column]
            above.imshow(images.to_uint8(painted))
            above.set_title(f"step {step}: {psnr:.1f} dB")
            below.imshow(images.to_uint8(heat(bits, reach)))
            below.set_title(f"{rate:.2f} bits per pixel")
            texts.append(f"step {step}: {psnr:.1f} dB, {rate:.2f} bits per pixel")
        for axis in axes.flat:
            axis.set_axis_off()
        made.suptitle(f"The fit ({self.owner}): what it paints, and where its bits are")
        return plots.show(
            made,
            f"A fit at {len(moments)} moments ({self.owner}), what it paints above and a map of its bits below, bright where "
            f"they are many: {'; '.join(texts)}. The picture gets sharper, and the bits gather along its edges.",
        )


@torch.no_grad()
def seen(model: LatentGrids) -> tuple[Tensor, Tensor]:
    """What a pyramid paints once its latents are rounded, and the bits of each pixel, (H, W); on the CPU."""
    bits = model.split(model.bits(model.symbols(), [band for piece in model.bands() for band in piece]))
    return model.render().cpu(), bits_per_pixel_map(bits).cpu()


def beside_jpeg(data: bytes, original: Tensor, zoom: float) -> plots.Shown:
    """A swipe between a file's picture and the JPEG of about as many bytes."""
    jpeg = codecs.get("jpeg")
    files = [jpeg.encode(original, quality=quality) for quality in range(1, 96, 2)]
    nearest = min(files, key=lambda file: abs(len(file) - len(data)))
    shown = {"latent grids": codecs.decode(data).cpu(), "JPEG": jpeg.decode(nearest).cpu()}
    sizes = (len(data), len(nearest))
    labels = [f"{name}: {size:,} bytes, {metrics.psnr(picture, original):.1f} dB"
              for (name, picture), size in zip(shown.items(), sizes, strict=True)]  # fmt: skip
    return widgets.swipe(*shown.values(), (labels[0], labels[1]), alt="the picture of your choice", zoom=zoom)
