"""What moves and what sounds in notebook 09: films that repeat, side by side, and sounds to be heard, each with its text."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

import matplotlib
import torch

from tutorial_lib import images, plots, signals
from tutorial_lib.signals import Clip, SignalError, Sound
from tutorial_lib.signals.files import write_animated, write_wav

GAP = 8
"""White pixels between films that are shown side by side."""


def films(shown: Mapping[str, Clip], *, zoom: int = 3, alt: str = "") -> plots.Shown:
    """Films of one size in one animated picture, so that they keep step; it repeats without end.

    Args:
        shown: title to film; all at the first one's frames a second.
        zoom: enlarge, pixels as squares.
        alt: what is to be seen; titles and sizes are added.
    """
    first, *_ = shown.values()
    count, height, width = first.size
    parts = []
    for clip in shown.values():
        frames = clip.frames.repeat_interleave(2, 2).repeat_interleave(2, 3)  # so that a file's coarser colours don't show
        parts += [frames, torch.ones(count, 3, 2 * height, GAP)]
    joined = Clip(torch.cat(parts[:-1], dim=3), first.fps)
    file = io.BytesIO(write_animated(joined, "WEBP", {"quality": 80, "method": 4, "loop": 0}))
    text = f"{alt or 'Films'}: {', '.join(shown)}, side by side" if len(shown) > 1 else ", ".join(filter(None, [alt, *shown]))
    text += f" ({count} frames of {width}×{height} pixels, shown {zoom} times as large, over and over)"
    cells = "".join(f'<div style="flex:1;text-align:center">{html.escape(title)}</div>' for title in shown)
    source, look = plots.data_url("webp", file), "width:100%;image-rendering:pixelated"
    picture = f'<img alt="{html.escape(text)}" src="{source}" style="{look}">'
    wide = joined.frames.shape[3] * zoom // 2
    return plots.Shown(
        f'<div style="max-width:{wide}px">{picture}<div style="display:flex;font-size:1.1em">{cells}</div></div>', text
    )


def sounds(shown: Mapping[str, Sound]) -> plots.Shown:
    """Sounds to be heard, each under its title."""
    rows = []
    for title, sound in shown.items():
        source = f"data:audio/wav;base64,{base64.b64encode(write_wav(sound)).decode()}"
        said = html.escape(title)
        player = f'<audio controls preload="none" aria-label="{said}" src="{source}" style="height:36px"></audio>'
        rows.append(f'<div style="display:flex;align-items:center;gap:12px;margin:3px 0">{player}<span>{said}</span></div>')
    text = "\n".join(f"Sound: {title}, {sound.seconds:g} s at {sound.rate:g} Hz" for title, sound in shown.items())
    return plots.Shown("".join(rows), text)


@matplotlib.rc_context(plots.STYLE)
def spectrograms(shown: Mapping[str, Sound]) -> plots.Shown:
    """Which tones a sound has when: time to the right, frequency up, power in dB as colour, one scale for all."""
    made, axes = plots.figure(3.3 * len(shown) + 1, 3.9, len(shown), sharey=True, squeeze=False)
    texts = ["Spectrograms side by side: time to the right, frequency up, the louder the brighter."]
    for axis, (title, sound) in zip(axes[0], shown.items(), strict=True):
        levels = 10 * torch.log10(signals.spectrogram(sound.samples)[0] + 1e-10)
        extent = (0.0, sound.seconds, 0.0, sound.rate / 2000)
        drawn = axis.imshow(levels, origin="lower", aspect="auto", extent=extent, vmin=-80, vmax=-15, cmap="magma")
        axis.set(title=title, xlabel="seconds")
        axis.grid(False)
        frequencies = torch.linspace(0, sound.rate / 2000, len(levels))
        loud = frequencies[(levels > -60).any(1)]
        texts.append(f"{title}: louder than −60 dB up to {float(loud.max()) if len(loud) else 0:.1f} kHz.")
    axes[0, 0].set_ylabel("kHz")
    made.colorbar(drawn, ax=axes[0].tolist(), label="dB")
    return plots.show(made, " ".join(texts).replace("\n", " "))


def film_of(path: str | None, frames: int = 32, longest: int = 96) -> tuple[Clip, plots.Shown]:
    """A reader's own film, reduced to a few small frames, or the sample; and what to say about it.

    Args:
        path: of a .gif, .webp, .avif, .png or, with PyAV, a film's file; None for the sample.
        frames: at most; the first ones are taken.
        longest: side, in pixels at most.
    """
    note = ""
    clip = None
    if path is not None:
        try:
            clip = _small(signals.load_clip(path, frames), longest)
        except SignalError as error:
            note = str(error).removesuffix(".") + ". A sample stands in."
        else:
            if len(clip.frames) < 4 or min(clip.size[1:]) < 16:
                note, clip = f"{path} has too few frames or pixels. A sample stands in.", None
    name = path if clip is not None else "a sample, made by code"
    clip = clip or signals.sample_clip("scene", frames)
    shown = films({f"{name}": clip}, zoom=3, alt="a short film")
    if note:
        shown = plots.Shown(f"<i>{html.escape(note)}</i>{shown.html}", f"{note}\n{shown.text}")
    return clip, shown


def _small(clip: Clip, longest: int) -> Clip:
    _, height, width = clip.size
    scale = min(longest / max(height, width), 1.0)
    size = (max(round(scale * height), 1), max(round(scale * width), 1))
    if size == (height, width):
        return clip
    return Clip(torch.stack([images.reduce(frame, size=size) for frame in clip.frames]), clip.fps)
