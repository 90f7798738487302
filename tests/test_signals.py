"""Films and sounds: arrays, times, files, measures, codecs, rivals, and what hostile files do."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_files import PEAK, clip, encoded, encoded_signal, inr, one_thread, refused_or_a_signal, seal, sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tutorial_lib import codecs, images, signals, training
from tutorial_lib.cli import main
from tutorial_lib.codecs.nerv import suited
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, SignalContainer, varint
from tutorial_lib.networks.nerv import Nerv, NervConfig
from tutorial_lib.networks.siren import Siren, SirenConfig
from tutorial_lib.signals import Clip, SignalError, Sound
from tutorial_lib.signals import files as signals_files
from tutorial_lib.training.canvases import SubCanvases, points_of, strides_for, strides_near

NAMES = tuple(codecs.SIGNALS)
FILMS = ("siren-video", "nerv")


def grey(frames: int, height: int, width: int) -> Clip:
    return Clip(torch.full((frames, 3, height, width), 0.5), 25.0)


# ------------------------------------------------------------------------------------------ arrays and times


def test_values_and_back() -> None:
    film, heard = clip(), sound()
    assert film.values.shape == (3, 6, 16, 24) and torch.equal(Clip.of(film.values, film.fps).frames, film.frames)
    assert heard.values.shape == (2, 1600) and heard.peak == math.ceil(32768 * float(heard.samples.abs().max()))
    assert 0 <= float(heard.values.min()) < 0.01 and float(heard.values.max()) <= 1  # a quiet sound fills the range
    torch.testing.assert_close(Sound.of(heard.values, heard.rate, heard.peak).samples, heard.samples, atol=1e-6, rtol=0)
    silence = Sound(torch.zeros(1, 10), 8000)
    assert silence.peak == 1 and torch.equal(Sound.of(silence.values, 8000, 1).samples, silence.samples)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Clip(torch.zeros(3, 4, 5), 25), "frames have the shape"),
        (lambda: Clip(torch.zeros(2, 3, 4, 5, dtype=torch.float64), 25), "float32"),
        (lambda: Clip(torch.zeros(0, 3, 4, 5), 25), "one at least"),
        (lambda: Clip(torch.full((2, 3, 4, 5), 255.0), 25), "far outside"),
        (lambda: Clip(torch.full((2, 3, 4, 5), math.nan), 25), "far outside"),
        (lambda: Clip(torch.zeros(2, 3, 4, 5), 0), "no rate"),
        (lambda: Sound(torch.zeros(3, 100), 8000), "1 or 2 channels"),
        (lambda: Sound(torch.zeros(1, 100), math.inf), "no rate"),
        (lambda: signals.sample_clip("cat"), "no film 'cat'"),
        (lambda: signals.sample_sound("cat"), "no sound 'cat'"),
    ],
)
def test_what_is_no_signal(make, what: str) -> None:
    with pytest.raises(SignalError, match=what):
        make()


def test_the_canvas_has_the_axes_of_the_signal() -> None:
    canvas = signals.canvas((3, 4, 5))
    assert canvas.shape == (3, 4, 5, 3)
    assert canvas[0, 0, 0].tolist() == [-1, -1, -1] and canvas[2, 0, 4].tolist() == [1, -1, 1]  # x, y, t
    assert torch.equal(signals.canvas((4, 5)), images.canvas(4, 5)) and signals.canvas((7,)).shape == (7, 1)


def test_instants() -> None:
    own = signals.canvas((8,))[:, 0]
    assert torch.equal(signals.instants(8, 25.0)[0], own)
    t, rate = signals.instants(8, 25.0, count=15)
    assert rate == 25 and torch.equal(t[::2], own)  # slow motion goes through the frames there are
    t, rate = signals.instants(8, 25.0, rate=50)
    assert rate == 50 and len(t) == 16 and torch.equal(t[::2], own) and t[15] == 1  # the last one is held
    t, _ = signals.instants(8, 25.0, times=[0, 0.02, 7 / 25])
    torch.testing.assert_close(t, torch.tensor([-1, -1 + 1 / 7, 1]))
    assert signals.instants(1, 25.0, count=3)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "wish",
    [{"times": [-0.1]}, {"times": [0.3]}, {"times": []}, {"count": 0}, {"rate": 0}, {"rate": 1e12}, {"count": 2, "times": [0]}],
)
def test_no_instants(wish: dict) -> None:
    with pytest.raises(SignalError):
        signals.instants(8, 25.0, **wish)


def test_samples_are_made_alike_and_move() -> None:
    for name in ("scene", "zoom"):
        film = signals.sample_clip(name, 3, (16, 24))
        assert film.size == (3, 16, 24) and torch.equal(film.frames, signals.sample_clip(name, 3, (16, 24)).frames)
        assert signals.clip_psnr(signals.hold(film, [0, 0, 0]), film) < 40
        torch.testing.assert_close(signals.sample_clip(name, 2, (16, 24)).frames, film.frames[:2])
    for name in ("melody", "voice"):
        heard = signals.sample_sound(name, 0.5)
        assert heard.size == (8000,) and 0.7 < float(heard.samples.abs().max()) <= 1
        assert torch.equal(heard.samples, signals.sample_sound(name, 0.5).samples)


# ------------------------------------------------------------------------------------------ measures


def test_measures() -> None:
    film = grey(4, 8, 8)
    other = Clip(film.frames.clone(), 25.0)
    other.frames[2] += 0.1
    assert signals.clip_psnr(film, film) == math.inf
    frames = signals.frame_psnrs(other, film)
    assert [math.isinf(each) for each in frames] == [True, True, False, True]
    assert signals.clip_psnr(other, film) == pytest.approx(frames[2] + 10 * math.log10(4))
    with pytest.raises(SignalError, match="4 frames of 8×8 and 3 frames"):
        signals.clip_psnr(film, grey(3, 8, 8))
    assert signals.bits_per_pixel(bytes(64), film) == 2 and signals.kilobits_per_second(bytes(1000), film) == 50
    heard = signals.sample_sound("voice", 0.5)
    half = Sound(0.5 * heard.samples, heard.rate)
    assert signals.snr(heard, heard) == math.inf and signals.snr(half, heard) == pytest.approx(20 * math.log10(2), abs=1e-4)
    assert signals.log_spectral_distance(heard, heard) == 0
    assert signals.log_spectral_distance(Sound(0.5 * half.samples, half.rate), half) < 20 * math.log10(2) + 1e-3
    noise = Sound(torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) * 0.1, 16_000)
    assert signals.log_spectral_distance(Sound(0.5 * noise.samples, 16_000), noise) == pytest.approx(6.02, abs=0.01)
    with pytest.raises(SignalError, match="silent"):
        signals.snr(heard, Sound(torch.zeros_like(heard.samples), heard.rate))
    with pytest.raises(SignalError, match="differ"):
        signals.snr(Sound(heard.samples, 8000), heard)


def test_between_frames() -> None:
    film = Clip(torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 2, 2).contiguous() / 4, 10.0)
    assert signals.blend(film, [0, 0.05, 0.3]).frames[:, 0, 0, 0].tolist() == pytest.approx([0, 0.125, 0.75], abs=1e-5)
    assert signals.hold(film, [0, 0.05, 0.1, 0.3]).frames[:, 0, 0, 0].tolist() == [0, 0, 0.25, 0.75]
    with pytest.raises(SignalError, match="between 0 and 0.3"):
        signals.blend(film, [0.4])


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".avif", ".png", ".apng"])
def test_animated_files(suffix: str, tmp_path: Path) -> None:
    path, film = tmp_path / f"clip{suffix}", clip()
    signals.save_clip(film, path)
    read = signals.load(path)
    assert isinstance(read, Clip) and read.size == film.size and read.fps == 25
    assert signals.clip_psnr(read, film) > (90 if "png" in suffix else 25)
    assert signals.load_clip(path, frames=2).size == (2, 16, 24)


def test_frames_that_an_encoder_joined(tmp_path: Path) -> None:
    still = Clip(torch.cat([clip().frames[:1].repeat(3, 1, 1, 1), clip().frames[1:2]]), 25.0)
    signals.save_clip(still, tmp_path / "still.webp")
    with Image.open(tmp_path / "still.webp") as image:
        assert getattr(image, "n_frames", 1) == 2
    assert signals.load_clip(tmp_path / "still.webp").size == still.size


@pytest.mark.parametrize(("suffix", "fps"), [(".gif", 30.0), (".webp", 60.0), (".png", 24.0)])
def test_a_film_lasts_as_long_as_it_did(suffix: str, fps: float, tmp_path: Path) -> None:
    """Milliseconds a frame are whole, in a GIF tens: roundings must not add up, nor joined frames be lost."""
    frames = torch.cat([clip().frames, clip().frames[-1:], clip().frames])
    signals.save_clip(Clip(frames, fps), tmp_path / f"film{suffix}")
    read = signals.load_clip(tmp_path / f"film{suffix}")
    assert read.size[0] == len(frames) and read.seconds == pytest.approx(len(frames) / fps, abs=0.006)


@pytest.mark.parametrize(("suffix", "fps", "most"), [(".gif", 60.0, 50), (".webp", 3000.0, 1000)])
def test_more_frames_a_second_than_a_format_has_times_for(suffix: str, fps: float, most: int, tmp_path: Path) -> None:
    with pytest.raises(SignalError, match=f"shows {most} frames a second at most"):
        signals.save_clip(Clip(clip().frames, fps), tmp_path / f"film{suffix}")


def test_pictures_of_different_lengths_keep_their_time(tmp_path: Path) -> None:
    first, *rest = [Image.new("RGB", (4, 3), (shade, 0, 0)) for shade in (0, 60, 120)]
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=[100, 300, 200])
    film = signals.load_clip(tmp_path / "a.gif")
    assert film.fps == 10 and [round(255 * float(frame[0, 0, 0])) for frame in film.frames] == [0, 60, 60, 60, 120, 120]
    first.save(tmp_path / "b.gif", save_all=True, append_images=rest, duration=[10, 3000, 10])
    assert signals.load_clip(tmp_path / "b.gif").size[0] == 3  # evenly spaced rather than 302 frames


def test_an_animation_under_another_name(tmp_path: Path) -> None:
    signals.save_clip(clip(), tmp_path / "a.webp")
    (tmp_path / "a.gif").write_bytes((tmp_path / "a.webp").read_bytes())
    assert signals_files.is_film(tmp_path / "a.gif") and signals.load_clip(tmp_path / "a.gif").size == clip().size


def test_damaged_animations(tmp_path: Path) -> None:
    """Cut anywhere, with any byte changed: a film, a picture or a sentence."""
    signals.save_clip(clip(), tmp_path / "whole.gif")
    whole, path = (tmp_path / "whole.gif").read_bytes(), tmp_path / "a.gif"
    random = np.random.default_rng(0)
    for length in range(1, len(whole), max(len(whole) // 60, 1)):
        changed = bytearray(whole)
        changed[int(random.integers(len(whole)))] ^= int(random.integers(1, 256))
        for data in (whole[:length], bytes(changed)):
            path.write_bytes(data)
            signals_files.is_film(path)
            try:
                signals.load_clip(path)
            except SignalError as error:
                assert str(error) and "\n" not in str(error)


def test_a_frame_over_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (4, 3), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png", save_all=True, append_images=[Image.new("RGBA", (4, 3), (0, 0, 0, 255))], duration=40)
    film = signals.load_clip(tmp_path / "clear.png")
    assert film.frames[0].min() == 1 and film.frames[1].max() == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_films_by_pyav(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("av")
    signals.save_clip(clip(), tmp_path / f"clip{suffix}")
    read = signals.load_clip(tmp_path / f"clip{suffix}")
    assert read.size == clip().size and read.fps == 25 and signals.clip_psnr(read, clip()) > 30


def test_a_film_of_a_phone_held_upright(tmp_path: Path) -> None:
    """Its frames lie on their side, and the track's matrix turns them: x' = −y, y' = x, a quarter clockwise."""
    pytest.importorskip("av")
    signals.save_clip(clip(), tmp_path / "upright.mp4")
    data = bytearray((tmp_path / "upright.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 44
    assert struct.unpack_from(">9i", data, matrix) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">4i", data, matrix, 0, 1 << 16, 0, -1 << 16)
    struct.pack_into(">i", data, matrix + 16, 0)
    (tmp_path / "upright.mp4").write_bytes(data)
    turned = signals.Clip(clip().frames.transpose(2, 3).flip(3), 25)
    read = signals.load_clip(tmp_path / "upright.mp4")
    assert read.size == turned.size and signals.clip_psnr(read, turned) > 30


def test_pyav_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"film")
    with pytest.raises(SignalError, match=r"a.mp4 needs PyAV: pip install 'inr-compression-course\[video\]'"):
        signals.load(tmp_path / "a.mp4")
    with pytest.raises(SignalError, match="needs PyAV"):
        signals.save_clip(clip(), tmp_path / "b.mp4")
    assert not codecs.RIVALS["h264"].available and codecs.RIVALS["mjpeg"].available
    with pytest.raises(CodecError, match="PyAV"):
        codecs.RIVALS["h264"].encode(clip())


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_of_every_width(width: int, tmp_path: Path) -> None:
    values = np.array([-1.0, -0.5, 0.0, 0.5, 0.75])
    levels = np.round(values * 2 ** (8 * width - 1)).astype(np.int64) + (128 if width == 1 else 0)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(b"".join(int(level).to_bytes(width, "little", signed=width > 1) for level in levels))
    heard = signals.load(tmp_path / "a.wav")
    assert isinstance(heard, Sound) and heard.rate == 8000
    np.testing.assert_allclose(heard.samples[0].numpy(), values, atol=1e-6)


def test_wav_files_of_other_programs(tmp_path: Path) -> None:
    """The extensible header, as FFmpeg writes it for 24 bits; one that was cut; and a rate that a file has no number for."""
    data = signals_files.write_wav(sound())
    place = data.index(b"fmt ")
    extension = (22).to_bytes(2, "little") + (16).to_bytes(2, "little") + bytes(4) + b"\x01\x00" + bytes(14)
    wide = data[:place] + b"fmt " + (40).to_bytes(4, "little") + b"\xfe\xff" + data[place + 10 : place + 24] + extension
    wide = b"RIFF" + (len(data) + 24 - 8).to_bytes(4, "little") + wide[8:] + data[place + 24 :]
    (tmp_path / "wide.wav").write_bytes(wide)
    assert torch.equal(signals.load_sound(tmp_path / "wide.wav").samples, signals_files.load_sound(_saved(tmp_path)).samples)
    empty, still = bytearray(data[: data.index(b"data") + 8]), bytearray(data)
    empty[4:8], empty[-4:] = (len(empty) - 8).to_bytes(4, "little"), bytes(4)
    still[place + 12 : place + 16] = bytes(4)
    for content, what in ((empty, "empty.wav holds no samples"), (still, "empty.wav holds a sound of 0 samples a second")):
        (tmp_path / "empty.wav").write_bytes(content)
        with pytest.raises(SignalError, match=what):
            signals.load_sound(tmp_path / "empty.wav")
    (tmp_path / "cut.wav").write_bytes(data[:-100])
    with pytest.raises(SignalError, match="are promised"):
        signals.load_sound(tmp_path / "cut.wav")
    for suffix in (".wav", ".flac"):
        if suffix == ".wav" or codecs.RIVALS["h264"].available:
            with pytest.raises(SignalError, match="whole number of samples a second, not 0.4"):
                signals.save_sound(Sound(sound().samples, 0.4), tmp_path / f"slow{suffix}")


def _saved(folder: Path) -> Path:
    signals.save_sound(sound(), folder / "plain.wav")
    return folder / "plain.wav"


def test_sounds_and_back(tmp_path: Path) -> None:
    for suffix in (".wav", ".flac"):
        if suffix == ".flac":
            pytest.importorskip("av")
        signals.save_sound(sound(), tmp_path / f"a{suffix}")
        heard = signals.load_sound(tmp_path / f"a{suffix}")
        assert heard.samples.shape == sound().samples.shape and heard.rate == sound().rate
        assert float((heard.samples - sound().samples).abs().max()) < 1 / 32768


@pytest.mark.parametrize("name", ["a.wav", "a.gif", "a.webp", "a.png", "a.mp4", "a.flac"])
@pytest.mark.parametrize("data", [b"", b"RIFF\x00\x00", bytes(200), b"GIF89a\x01\x00", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_none(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SignalError) as refused:
        signals.load(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match="can't be read"):
        signals.load(tmp_path / "a.wav")
    with pytest.raises(SignalError, match="a film is one of"):
        signals.load(tmp_path / "a.txt")
    with pytest.raises(SignalError, match="written as one of"):
        signals.save_sound(sound(), tmp_path / "a.mp3")
    with pytest.raises(SignalError, match="no folder"):
        signals.save_clip(clip(), tmp_path / "b" / "a.gif")


# ------------------------------------------------------------------------------------------ canvases and networks


@pytest.mark.parametrize(("size", "strides"), [((7,), 3), ((5, 4, 6), (2, 1, 3)), ((5, 4, 6), (9, 2, 2)), ((3, 2, 2), (2, 1, 1))])
def test_sub_canvases_of_any_signal_partition_its_points(size: tuple[int, ...], strides) -> None:
    class Coordinates(torch.nn.Module):
        def features(self, coordinates):
            return coordinates

        def colours(self, features):
            return features

    values = torch.arange(math.prod(size), dtype=torch.float32).view(1, *size)
    canvases, whole, seen = SubCanvases(Coordinates(), values, strides, torch.Generator()), signals.canvas(size), []
    for _ in range(math.prod(canvases.corners)):
        points, found = canvases.next()
        assert found[0].numel() <= canvases.points
        assert torch.equal(whole.flatten(0, -2)[found[0].flatten().long()], points.flatten(0, -2))
        seen += found.flatten().tolist()
    assert sorted(seen) == values.flatten().tolist()


@pytest.mark.parametrize("size", [(64_000,), (32, 64, 96), (5, 300, 2), (1, 1, 1), (200, 300)])
@pytest.mark.parametrize("points", [1, 50, 6000, 10**9])
@pytest.mark.parametrize("whole", [0, 2])
def test_strides(size: tuple[int, ...], points: int, whole: int) -> None:
    if whole >= len(size):
        return
    most, near = strides_for(size, points, whole), strides_near(size, points, whole)
    assert len(most) == len(near) == len(size) and all(stride == 1 for stride in (*most, *near)[len(size) - whole : len(size)])
    assert points_of(size, most) <= max(points, math.prod(size[len(size) - whole :]))
    assert points_of(size, near) >= min(points, math.prod(size)) or whole or len(size) > 2


def test_a_network_on_one_and_three_coordinates() -> None:
    for size, channels in (((50,), 1), ((4, 6, 10), 3)):
        network = Siren(SirenConfig(8, 2, 3, axes=len(size), channels=channels), *size)
        assert sum(p.numel() for p in network.parameters()) == network.config.weights
        own = network.render()
        assert own.shape == (channels, *size)
        expected = network(signals.canvas(size)).clamp(0, 1).movedim(-1, 0)
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=0)
        t = signals.instants(size[0], 25.0, count=2 * size[0] - 1)[0]
        torch.testing.assert_close(network.render(times=t)[:, ::2], own, atol=1e-5, rtol=0)
    assert network.render(None, 12, 20).shape == (3, 4, 12, 20)
    with pytest.raises(ValueError, match="on 3 coordinates"):
        Siren(SirenConfig(8, axes=3), 4, 5)


def test_time_scale_is_the_unit_of_t_alone() -> None:
    torch.manual_seed(0)
    slow = Siren(SirenConfig(8, 2, 3, axes=3), 4, 6, 10)
    quick = Siren(replace(slow.config, time_scale=2.0), 4, 6, 10)
    quick.load_state_dict(slow.state_dict())
    points = torch.rand(7, 3) * 2 - 1
    there = (points + 1) / 2 * torch.tensor([1.0, 1.0, 2.0])
    torch.testing.assert_close(quick(points), slow.colours(slow.encoding(there)))


def test_nerv_makes_whole_frames() -> None:
    config = suited(6, 18, 27)
    network = Nerv(config, 5, 18, 27)
    assert sum(p.numel() for p in network.parameters()) == config.weights
    assert len(list(network.parameters())) == config.tensors
    canvas = signals.canvas((5, 18, 27))
    frames = network(canvas)
    assert frames.shape == (5, 18, 27, 3) and network.features(canvas).shape == (5, config.inputs)
    torch.testing.assert_close(network.render(), frames.clamp(0, 1).movedim(-1, 0), atol=1e-6, rtol=0)
    assert network.render(9, 36, 54).shape == (3, 9, 36, 54)


def test_multiply_adds_of_nerv_are_counted() -> None:
    config, counted = NervConfig((2, 3), (5, 4, 6), 7, 2), []
    network = Nerv(config, 1, 8, 12)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            # a convolution's weights are used at each position of what it takes
            layer.register_forward_pre_hook(
                lambda layer, inputs: counted.append(layer.weight.numel() * math.prod(inputs[0].shape[2:]))
            )
    network.render()
    assert sum(counted) == config.multiply_adds


# ------------------------------------------------------------------------------------------ codecs


def original(name: str) -> signals.Signal:
    return clip() if codecs.SIGNALS[name].kind == "film" else sound()


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name: str) -> None:
    codec, data, signal = codecs.SIGNALS[name], encoded_signal(name), original(name)
    decoded = codecs.decode_signal(data)
    assert decoded.size == signal.size and decoded.rate == signal.rate and codecs.signal_codec_of(data) is codec
    nearness = signals.clip_psnr(decoded, signal) if isinstance(decoded, Clip) else signals.snr(decoded, signal)
    assert nearness > (12 if codec.kind == "film" else 0)
    assert 8 * len(data) <= 6 * math.prod(signal.size)
    assert sum(bitstream.anatomy(data).values()) == len(data)
    steps = {key: tensor.step for key, tensor in codec.tensors(data).items()}
    assert codec.pack(codec.open(data), steps, signal.rate, signal.peak) == data
    assert len(codec.describe(data)) == codec.config_of(data).tensors and codec.operations_per_pixel(data) > 0
    assert bitstream.kind_of(data) == codec.kind


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_file(name: str) -> None:
    codec, signal = codecs.SIGNALS[name], original(name)
    files = [
        codec.encode(signal, bpp=6, budget="quick", iterations=12, seed=seed, progress=False, device="cpu") for seed in (1, 1, 2)
    ]
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize("name", FILMS)
def test_other_times_and_sizes(name: str) -> None:
    codec, data = codecs.SIGNALS[name], encoded_signal(name)
    own = codec.decode(data).frames
    slow = codec.decode(data, count=11)
    assert slow.fps == 25
    torch.testing.assert_close(slow.frames[::2], own, atol=1e-5, rtol=0)
    assert codec.decode(data, rate=50).fps == 50 and codec.decode(data, rate=50).size == (12, 16, 24)
    torch.testing.assert_close(codec.decode(data, times=[0.04]).frames, own[1:2], atol=1e-5, rtol=0)
    large = codec.decode(data, size=(32, 48)).frames
    assert large.shape == (6, 3, 32, 48) and float((torch.nn.functional.avg_pool2d(large, 2) - own).abs().mean()) < 0.1


def test_a_sound_at_another_rate() -> None:
    data = encoded_signal("siren-audio")
    own, fine = (codecs.SIREN_AUDIO.decode(data, rate=rate) for rate in (None, 32_000))
    assert fine.rate == 32_000 and fine.size == (3200,)
    torch.testing.assert_close(fine.samples[:, ::2], own.samples, atol=1e-4, rtol=0)
    with pytest.raises(CodecError, match="no height and width"):
        codecs.SIREN_AUDIO.decode(data, size=(4, 4))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("wish", "what"),
    [
        ({"bpp": 1, "kbps": 1}, "not in both"),
        ({"bpp": -1}, "a rate is a positive number"),
        ({"bpp": 1e-4}, "the smallest"),
        ({"kbps": math.inf}, "positive number of kbit/s"),
        ({"loss": "mse+lpips"}, "no loss 'mse\\+lpips'"),
        ({"method": "published"}, "no method"),
        ({"iterations": 3}, "12 iterations or more"),
    ],
)
def test_wishes_that_can_not_be_met(name: str, wish: dict, what: str) -> None:
    with pytest.raises(CodecError, match=what):
        codecs.SIGNALS[name].plan(original(name), budget="quick", **wish)


def test_the_wrong_kind_of_signal() -> None:
    with pytest.raises(CodecError, match="siren-video encodes a film, not a sound"):
        codecs.SIREN_VIDEO.plan(sound())
    with pytest.raises(CodecError, match="siren-audio encodes a sound, not a picture"):
        codecs.SIREN_AUDIO.encode(images.sample("coffee"))
    with pytest.raises(CodecError, match="nerv encodes a film, not a picture"):
        codecs.get("nerv")
    with pytest.raises(CodecError, match="2 channels on 1 coordinates"):
        codecs.SIREN_AUDIO.plan(sound(), config=codecs.SIREN_AUDIO.family.template)
    with pytest.raises(CodecError, match="makes no frames of 24×16"):
        codecs.NERV.plan(clip(), config=suited(4, 64, 64))
    with pytest.raises(CodecError, match="there is a codec"):
        codecs.register(replace(codecs.SIREN, name="mine", number=codecs.NERV.number))


def test_l1_and_ssim_over_whole_frames() -> None:
    data = codecs.NERV.encode(clip(), bpp=6, loss="l1+ssim", budget="quick", iterations=12, progress=False, device="cpu")
    assert codecs.NERV.decode(data).size == clip().size


def test_what_silence_and_one_frame_take() -> None:
    silence = Sound(torch.zeros(1, 400), 8000)
    data = codecs.SIREN_AUDIO.encode(silence, bpp=8, budget="quick", iterations=12, progress=False, device="cpu")
    assert float(codecs.SIREN_AUDIO.decode(data).samples.abs().max()) < 1e-4
    still = Clip(clip().frames[:1], 25.0)
    data = codecs.SIREN_VIDEO.encode(still, bpp=24, budget="quick", iterations=12, progress=False, device="cpu")
    assert codecs.SIREN_VIDEO.decode(data).size == (1, 16, 24)


def test_a_fit_takes_a_signal_as_it_takes_a_picture() -> None:
    torch.manual_seed(0)
    network = Siren(SirenConfig(16, 2, 4, axes=3), *clip().size)
    report = training.fit(network, clip().values, (training.Phase("fit", 60, points=500),), progress=False)
    assert report.best_psnr == pytest.approx(
        -10 * math.log10(float((network.render() - clip().values).square().mean())), abs=0.01
    )


# ------------------------------------------------------------------------------------------ files of ours


def test_pictures_and_signals_refuse_each_other() -> None:
    for name in NAMES:
        for read in (codecs.decode, codecs.codec_of, bitstream.read, bitstream.without_second_look):
            with pytest.raises(BitstreamError, match=f"holds a {codecs.SIGNALS[name].kind}, not a picture"):
                read(encoded_signal(name))
    for read in (codecs.decode_signal, codecs.SIREN_VIDEO.decode, bitstream.read_signal):
        with pytest.raises(BitstreamError, match="holds a picture, not a film and not a sound"):
            read(encoded("siren"))
    with pytest.raises(BitstreamError, match="none of siren-video's"):
        codecs.SIREN_VIDEO.decode(encoded_signal("nerv"))
    with pytest.raises(BitstreamError, match="none of siren-audio's"):
        codecs.SIREN_AUDIO.decode(encoded_signal("siren-video"))


@pytest.mark.parametrize("name", NAMES)
def test_cut_and_changed(name: str) -> None:
    data = encoded_signal(name)
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            codecs.decode_signal(data[:length])
        with pytest.raises(BitstreamError):
            codecs.decode_signal(seal(data[: min(length, len(data) - 5)]))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        with pytest.raises(BitstreamError):
            codecs.decode_signal(bytes(damaged))


@pytest.mark.parametrize("name", NAMES)
def test_any_byte_changed_and_sealed(name: str) -> None:
    body = encoded_signal(name)[:-4]
    side = len(body) - bitstream.anatomy(encoded_signal(name))["networks"]
    for position in [*range(side), *range(side, len(body), max(1, (len(body) - side) // 30))]:
        for change in (0x01, 0x80, 0xFF, 0x1C):
            damaged = bytearray(body)
            damaged[position] ^= change
            refused_or_a_signal(seal(bytes(damaged)))


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_other_configurations(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    numbers = data.draw(st.lists(st.integers(0, 40) | st.integers(0, 2**35 - 1), max_size=12))
    container = bitstream.read_signal(encoded_signal(name))
    sections = container.sections | {"configuration": b"".join(map(varint, numbers))}
    refused_or_a_signal(bitstream.write_signal(replace(container, sections=sections)))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"INR\x03", b"INR\x03\x0b\x02", b"INR\x03\x0a\x01"]))
def test_random_bytes(data: bytes, start: bytes) -> None:
    with pytest.raises(BitstreamError):
        codecs.decode_signal(start + data)
    refused_or_a_signal(seal(start + data))


def head(*numbers: int, kind: int = 2, codec: int = 11) -> bytes:
    """A file with these numbers in its header, and nothing behind."""
    return seal(bitstream.MAGIC + bytes([3, codec, kind]) + b"".join(map(varint, numbers)) + b"\0")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (head(0, 4, 4, 25, 1), "has none, or more than"),
        (head(1 << 30, 1 << 30, 1 << 30, 25, 1), "has none, or more than"),
        (head(4, 4, 4, 0, 1), "no rate"),
        (head(4, 4, 4, 25, 0), "no rate"),
        (head(4, 4, 4, 50, 2), "no rate"),
        (head(4, 4, 4, 1 << 21, 1), "no rate"),
        (head(100, 8000, 1, 0, kind=1, codec=10), "peak is 1 to 32768"),
        (head(100, 8000, 1, 40_000, kind=1, codec=10), "peak is 1 to 32768"),
        (head(4, 4, 4, 25, 1, kind=7), "kind 7"),
        (head(4, 4, 4, 25, 1, codec=99), "codec number 99"),
    ],
)
def test_hostile_headers(data: bytes, what: str) -> None:
    with pytest.raises(BitstreamError, match=what):
        codecs.decode_signal(data)


LONG = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from dataclasses import replace
from codec_files import encoded_signal
from tutorial_lib import codecs
from tutorial_lib.coding import bitstream
{PEAK}
data = encoded_signal("siren-video")
long = bitstream.write_signal(replace(bitstream.read_signal(data), size=(1 << 27, 1, 1)))
codecs.SIREN_VIDEO.decode(data, size=(2, 2), times=[0])
before = peak()
codecs.SIREN_VIDEO.decode(long, size=(2, 2), times=[0])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
def test_a_frame_of_a_long_film_takes_the_memory_of_a_frame() -> None:
    run = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, timeout=120, check=True, env=one_thread())
    assert int(run.stdout) < 50 * 2**20


def test_what_would_take_too_long_is_refused_before_it_is_done() -> None:
    container = bitstream.read_signal(encoded_signal("nerv"))
    wide = NervConfig((1, 1), (4, 1, 2000), 4, 2)
    sections = container.sections | {"configuration": codecs.NERV.family.write_config(wide)}
    with pytest.raises(BitstreamError, match="more than this program decodes"):
        codecs.NERV.decode(bitstream.write_signal(replace(container, size=(1 << 25, 2, 2), sections=sections)))
    with pytest.raises(BitstreamError, match="makes no frames of 8×8"):
        codecs.NERV.decode(bitstream.write_signal(replace(container, size=(1, 8, 8), sections=sections)))
    film = bitstream.read_signal(encoded_signal("siren-video"))
    for size in ((1 << 27, 1, 1), (1, 1 << 13, 1 << 14)):
        data = bitstream.write_signal(replace(film, size=size))
        assert codecs.SIREN_VIDEO.decode(data, size=(2, 2), times=[0]).size == (1, 2, 2)
    with pytest.raises(SignalError, match="points are more than"):
        codecs.SIREN_VIDEO.decode(encoded_signal("siren-video"), size=(8000, 8000))
    with pytest.raises(ValueError, match="no rate"):
        bitstream.write_signal(SignalContainer(11, (1, 2, 3), Fraction(0), {}))


# ------------------------------------------------------------------------------------------ rivals


@pytest.mark.parametrize("name", codecs.RIVALS)
def test_rivals(name: str) -> None:
    rival = codecs.RIVALS[name]
    if not rival.available:
        pytest.skip("PyAV is not installed")
    signal = clip() if rival.kind == "film" else sound()
    data = rival.encode(signal)
    decoded = rival.decode(data)
    assert decoded.size == signal.size and decoded.rate == signal.rate and rival.settings
    nearness = signals.clip_psnr(decoded, signal) if isinstance(decoded, Clip) else signals.snr(decoded, signal)
    assert nearness > (60 if name == "flac" else 15 if rival.kind == "film" else 10)
    if len(rival.qualities) > 1:
        sizes = [len(rival.encode(signal, quality=rival.qualities[index])) for index in (10, -10)]
        assert sizes[0] < sizes[1]
        rate = 8 * sum(sizes) / 2 / math.prod(signal.size)
        assert len(rival.encode(signal, bpp=rate)) <= sum(sizes) / 2
    with pytest.raises(CodecError, match="can't reach"):
        rival.encode(signal, bpp=1e-3)
    with pytest.raises(CodecError, match="encodes a"):
        rival.encode(sound() if rival.kind == "film" else clip())
    with pytest.raises(CodecError, match="not several"):
        rival.encode(signal, quality=rival.qualities[0], kbps=1)
    for wrong in (b"", data[:3], bytes(50), encoded("siren")):
        with pytest.raises(BitstreamError):
            rival.decode(wrong)


def test_motion_jpeg_codes_each_frame_for_itself_and_its_tables_once() -> None:
    film = Clip(clip().frames[:, :, :13], 25.0)  # rows that are no blocks
    decoded = codecs.RIVALS["mjpeg"].decode(codecs.RIVALS["mjpeg"].encode(film, quality=90))
    assert decoded.size == film.size and min(signals.frame_psnrs(decoded, film)) > 30
    still = Clip(film.frames[:1].repeat(5, 1, 1, 1), 25.0)
    data, one = (codecs.RIVALS["mjpeg"].encode(each, quality=60) for each in (still, Clip(still.frames[:1], 25.0)))
    frames = codecs.RIVALS["mjpeg"].decode(data).frames
    assert all(torch.equal(frame, frames[0]) for frame in frames)
    assert (len(data) - len(one)) / 4 < len(one) - 200


# ------------------------------------------------------------------------------------------ the command


def answer(run: subprocess.CompletedProcess[str]) -> dict:
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_command_on_a_film(tmp_path: Path) -> None:
    signals.save_clip(clip(), tmp_path / "film.gif")
    how = ("--iterations", "12", "--budget", "quick", "--bpp", "8", "--json")
    encoding = answer(inr("encode", "film.gif", *how, cwd=tmp_path))
    assert encoding["bytes"] == (tmp_path / "film.inr").stat().st_size and len(encoding["frame_psnrs"]) == 6
    facts = answer(inr("info", "film.inr", "--json", cwd=tmp_path))
    assert facts["codec"] == "siren-video" and facts["size"] == [6, 16, 24] and facts["kind"] == "film"
    decoded = answer(inr("decode", "film.inr", "--frames", "11", "--scale", "2", "--json", cwd=tmp_path))
    assert decoded == {"file": "film.decoded.webp", "frames": 11, "width": 48, "height": 32, "fps": 25}
    rows = answer(inr("compare", "film.gif", "film.inr", "--json", cwd=tmp_path))
    assert rows[0]["psnr"] == pytest.approx(encoding["psnr"], abs=0.01) and rows[0]["bpp"] == encoding["bpp"]
    for refused in (("view", "film.inr"), ("strip", "film.inr")):
        run = inr(*refused, cwd=tmp_path)
        assert run.returncode == 2 and run.stderr == "inr: this file holds a film, not a picture\n"
    for refused, what in (
        (("decode", "film.inr", "--rate", "8000"), "--rate is a sound's"),
        (("decode", "film.inr", "-o", "a.wav"), "a film is written as one of"),
        (("encode", "film.gif", "--codec", "siren-audio"), "siren-audio encodes a sound, not a film"),
        (("encode", "coffee", "--codec", "nerv"), "nerv encodes a film"),
        (("compare", "film.gif", "film.inr", "--lpips", "squeeze"), "LPIPS is for pictures"),
    ):
        run = inr(*refused, cwd=tmp_path)
        assert run.returncode == 2 and what in run.stderr and run.stderr.count("\n") == 1


def test_the_command_on_a_sound(tmp_path: Path) -> None:
    signals.save_sound(sound(), tmp_path / "sound.wav")
    how = ("--iterations", "12", "--budget", "quick", "--kbps", "100")
    said = inr("encode", "sound.wav", *how, cwd=tmp_path)
    assert said.returncode == 0 and "two channels, 1,600 samples at 16000 Hz" in said.stdout and "SNR" in said.stdout
    decoded = answer(inr("decode", "sound.inr", "--rate", "8000", "--json", cwd=tmp_path))
    assert decoded == {"file": "sound.decoded.wav", "samples": 800, "channels": 2, "rate": 8000}
    assert "SNR" in inr("compare", "sound.wav", "sound.inr", cwd=tmp_path).stdout
    assert "siren-audio, 1600 (samples)" in inr("info", "sound.inr", cwd=tmp_path).stdout
    run = inr("decode", "sound.inr", "--fps", "3", cwd=tmp_path)
    assert run.returncode == 2 and "a sound has no frames" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("encode", "still.png", "--kbps", "3", "--frames", "2"), "--kbps and --frames: for films and sounds"),
        (("decode", "still.inr", "--fps", "10"), "--fps: for films and sounds"),
        (("encode", "a.wav", "--frames", "3"), "a sound has no frames"),
        (("encode", "silent.wav"), "silent.wav is silent: there is nothing to fit"),
        (("decode", "a.inr", "--rate", "0"), "0"),
    ],
)
def test_wishes_that_mean_nothing(
    arguments: tuple[str, ...], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images.save(torch.rand(3, 20, 30), "still.png")
    Path("still.inr").write_bytes(encoded("siren"))
    Path("a.inr").write_bytes(encoded_signal("siren-audio"))
    signals.save_sound(sound(), "a.wav")
    signals.save_sound(Sound(torch.zeros(1, 400), 8000), "silent.wav")
    assert main([*arguments]) == 2
    assert what in capsys.readouterr().err and not Path("silent.inr").exists()
