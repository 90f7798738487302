"""Any signal: films and sounds beside pictures. What changes is the canvas alone.

Example:
    >>> from tutorial_lib import signals
    >>> clip = signals.sample_clip("zoom", frames=4, size=(8, 12))
    >>> clip.values.shape, signals.canvas(clip.size).shape  # colours, and where they stand: x, y, t
    (torch.Size([3, 4, 8, 12]), torch.Size([4, 8, 12, 3]))
    >>> sound = signals.sample_sound("melody", seconds=0.5)
    >>> sound.values.shape, signals.canvas(sound.size).shape
    (torch.Size([1, 8000]), torch.Size([8000, 1]))
"""

from tutorial_lib.signals.arrays import FULL_SCALE, Clip, Kind, Signal, SignalError, Sound, canvas, instants
from tutorial_lib.signals.files import load, load_clip, load_sound, save_clip, save_sound
from tutorial_lib.signals.measures import (
    bits_per_pixel,
    blend,
    clip_psnr,
    frame_psnrs,
    hold,
    kilobits_per_second,
    log_spectral_distance,
    snr,
    spectrogram,
)
from tutorial_lib.signals.samples import sample_clip, sample_sound

__all__ = [
    "FULL_SCALE", "Clip", "Kind", "Signal", "SignalError", "Sound", "bits_per_pixel", "blend", "canvas", "clip_psnr",
    "frame_psnrs", "hold", "instants", "kilobits_per_second", "load", "load_clip", "load_sound", "log_spectral_distance",
    "sample_clip", "sample_sound", "save_clip", "save_sound", "snr", "spectrogram",
]  # fmt: skip
