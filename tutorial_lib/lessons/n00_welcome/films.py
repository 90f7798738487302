"""Two films of notebook 00, drawn while they are made: a network that learns a picture, and a photograph that becomes a file."""

from __future__ import annotations

import contextlib
import html

import torch
from torch import Tensor

from tutorial_lib import codecs, images, metrics, plots, widgets
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.course.live import Screen
from tutorial_lib.networks.siren import Siren, SirenConfig
from tutorial_lib.runtime import threads_for
from tutorial_lib.training import Progress

NAMES = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF"}
MOMENTS = (0.01, 0.04, 0.15, 1.0)
"""Shares of a film at which a frame is kept."""


def learn(picture: Tensor, steps: int) -> None:
    """Fit a SIREN of 64 neurons a layer to a picture, on all pixels in each step, and show what it paints meanwhile.

    The stop button ends it early.

    Args:
        picture: (3, H, W).
        steps: of Adam at 2·10⁻³.
    """
    height, width = picture.shape[1:]
    torch.manual_seed(0)
    network = Siren(SirenConfig(64, frequencies=8, domain="canvas"), height, width).to(picture.device)
    inputs, target = network.features(images.canvas(height, width, device=picture.device)), picture.movedim(0, -1)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    screen, kept = Screen(), {}
    moments = {max(1, round(share * steps)) for share in MOMENTS}
    with threads_for(network.config.weights * height * width), contextlib.suppress(KeyboardInterrupt):
        for step in range(1, steps + 1):
            output = network.colours(inputs)
            painted = output.detach().clamp(0, 1).movedim(-1, 0)
            optimizer.zero_grad()
            (output - target).square().mean().backward()
            optimizer.step()
            if step in moments:
                kept[f"step {step}: {metrics.psnr(painted, picture):.1f} dB"] = painted
            if screen.due():
                title = f"step {step} of {steps}: {metrics.psnr(painted, picture):.1f} dB"
                screen.draw(plots.pictures([picture, painted], ["the picture", title], zoom=3, alt="a cat's face"))
    screen.draw(plots.pictures(list(kept.values()), list(kept), zoom=1.6, alt="a cat's face as a network paints it"), last=True)


def compress(picture: Tensor, iterations: int) -> bytes:
    """Encode a picture as a pyramid of small grids (`coolchic-small`, λ = 0.002), and show how it forms; the file.

    Args:
        picture: (3, H, W).
        iterations: of the fit; the stop button ends it early, and the file is written all the same.
    """
    screen, size = Screen(0), picture[0].numel()
    drawn = plots.pictures([picture], ["fitting …"], zoom=2, method="bicubic", alt="a photograph")
    screen.draw(drawn)

    def look(progress: Progress) -> None:
        with torch.no_grad():
            painted = progress.representation.render().cpu()
        title = f"step {progress.iteration} of {progress.iterations}: {progress.psnr:.1f} dB"
        title += f", about {progress.bpp * size / 8:,.0f} bytes" if progress.bpp else ""
        screen.draw(plots.pictures([picture, painted], ["yours", title], zoom=2, method="bicubic", alt="a photograph"))

    data = codecs.get("coolchic-small").encode(picture, lmbda=2e-3, iterations=iterations, progress=False, callback=look)
    decoded = codecs.decode(data).cpu()
    title = f"the file: {metrics.psnr(decoded, picture):.1f} dB in {len(data):,} bytes"
    screen.draw(
        plots.pictures([picture, decoded], ["the picture", title], zoom=2, method="bicubic", alt="a photograph"), last=True
    )
    return data


def against_jpeg(picture: Tensor, data: bytes, zoom: float = 2) -> plots.Shown:
    """A swipe between what a file decodes to and a JPEG of about as many bytes, and what WebP and AVIF reach with them."""
    decoded, rate = codecs.decode(data).cpu(), metrics.bits_per_pixel(data, picture)
    mine = f"network: {metrics.psnr(decoded, picture):.1f} dB"
    right, theirs, sizes = picture, "the picture itself", [f"network: {len(data):,} bytes"]
    for name in NAMES:
        codec = codecs.get(name)
        try:
            other = codec.encode(picture, bpp=rate)
        except CodecError as error:  # no quality is low enough, or this Pillow knows no AVIF
            sizes.append(str(error).rstrip("."))
            continue
        shown = codec.decode(other).cpu()
        said = f"{NAMES[name]}: {metrics.psnr(shown, picture):.1f} dB"
        if name == "jpeg":
            right, theirs = shown, said
            sizes.append(f"JPEG: {len(other):,} bytes")
        else:
            sizes.append(f"{said} in {len(other):,} bytes")
    swiped = widgets.swipe(decoded, right, (mine, theirs), alt="a photograph", zoom=zoom)
    rest = "; ".join(sizes) + "."
    return plots.Shown(f"{swiped.html}<p>{html.escape(rest)}</p>", f"{swiped.text}\n{rest}")
