"""Bytes that are no file: a `BitstreamError` or a correct decode, in bounded time and memory, nothing else.

Behind a correct checksum another picture is allowed, for the checksum protects against accidents alone; but
never another exception, never a picture that is none.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from codec_files import GRIDS, LEARNED, OTHER_FILES, SIZE, altered, encoded, picture, refused_or_a_picture, seal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutorial_lib import codecs, images
from tutorial_lib.codecs.classical import CODECS as CLASSICAL
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, varint
from tutorial_lib.networks.nif import NifConfig
from tutorial_lib.networks.siren import SirenConfig

FILES = (*LEARNED, *OTHER_FILES)
settings.register_profile("fuzz", settings.get_profile("course"), suppress_health_check=[HealthCheck.too_slow])


def file(name: str) -> bytes:
    return OTHER_FILES[name]() if name in OTHER_FILES else encoded(name)


# ------------------------------------------------------------------------------------------ accidents


@pytest.mark.parametrize("name", FILES)
def test_cut_anywhere(name: str) -> None:
    data = file(name)
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            codecs.decode(data[:length])


@pytest.mark.parametrize("name", FILES)
def test_any_byte_changed(name: str) -> None:
    data = file(name)
    for position in range(len(data)):
        for change in (0x01, 0x80, 0xFF, 0x55):
            damaged = bytearray(data)
            damaged[position] ^= change
            with pytest.raises(BitstreamError):
                codecs.decode(bytes(damaged))


@pytest.mark.parametrize("name", LEARNED)
def test_any_other_value_in_the_header(name: str) -> None:
    data = file(name)
    for position in range(bitstream.anatomy(data)["header"]):
        for value in set(range(256)) - {data[position]}:
            with pytest.raises(BitstreamError):
                codecs.decode(data[:position] + bytes([value]) + data[position + 1 :])


@settings(max_examples=200)
@given(st.data())
def test_bursts_and_swaps(data: st.DataObject) -> None:
    """Several bytes lost, doubled or overwritten: a CRC-32 misses one change in 2³²."""
    original = file(data.draw(st.sampled_from(FILES)))
    start = data.draw(st.integers(0, len(original) - 1))
    stop = data.draw(st.integers(start, min(len(original), start + 60)))
    damaged = original[:start] + data.draw(st.binary(max_size=60)) + original[stop:]
    if damaged == original:
        return
    with pytest.raises(BitstreamError):
        codecs.decode(damaged)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from([b"", b"INR", b"INR\x00", b"INR\x01", b"INR\x00\x02", b"INR\x01\x02"]))
def test_random_bytes(data: bytes, start: bytes) -> None:
    with pytest.raises(BitstreamError):
        codecs.decode(start + data)


@pytest.mark.parametrize(
    "start",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"PK\x03\x04",
        b"\x80\x04\x95",  # a pickle
        b"inr\x00",
        b"\xef\xbb\xbfINR",
        b"\r\nINR",
    ],
)
def test_foreign_files(start: bytes) -> None:
    with pytest.raises(BitstreamError, match="not an .inr file"):
        codecs.decode(start + file("siren"))


@pytest.mark.parametrize("version", [4, 5, 255])
def test_newer_versions(version: int) -> None:
    data = file("siren")
    for body in (data[:3] + bytes([version]) + data[4:], seal(data[:3] + bytes([version]) + data[4:-4])):
        with pytest.raises(BitstreamError, match=f"version {version}, newer than the version 3 that this program"):
            codecs.decode(body)


# ------------------------------------------------------------------------------------------ behind a checksum


@pytest.mark.parametrize("name", FILES)
def test_cut_anywhere_and_sealed(name: str) -> None:
    body = file(name)[:-4]
    for length in range(len(body)):
        with pytest.raises(BitstreamError):
            codecs.decode(seal(body[:length]))


@pytest.mark.parametrize("name", FILES)
def test_any_byte_changed_and_sealed(name: str) -> None:
    body = file(name)[:-4]
    anatomy = bitstream.anatomy(file(name))
    coded = anatomy.get("networks", 0) + anatomy.get("latents", 0)
    side = len(body) - coded
    # all of the header, the configuration and the quantizer; of what is coded a few. Latents take 0.2 s to decode.
    few, changes = (40, (0x01, 0x80, 0xFF, 0x1C)) if name not in GRIDS else (10, (0x01, 0xFF))
    positions = [*range(side), *range(side, len(body), max(1, coded // few))]
    for position in positions:
        for change in changes:
            damaged = bytearray(body)
            damaged[position] ^= change
            refused_or_a_picture(seal(bytes(damaged)))


@settings(max_examples=150, parent=settings.get_profile("fuzz"))
@given(st.data())
def test_other_sections(data: st.DataObject) -> None:
    """One section replaced, or cut, lengthened and overwritten in places."""
    original = file(data.draw(st.sampled_from(FILES)))
    sections = bitstream.read(original).sections
    name = data.draw(st.sampled_from(list(sections)))
    body = bytearray(sections[name])
    if data.draw(st.booleans()):
        for _ in range(data.draw(st.integers(1, 4))):
            position = data.draw(st.integers(0, len(body)))
            body[position : position + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    else:
        body = bytearray(data.draw(st.binary(max_size=120)))
    refused_or_a_picture(altered(original, **{name: bytes(body)}))


def numbers(*usual: int) -> st.SearchStrategy[bytes]:
    """Varints, each up to its usual largest value or anything that a varint holds."""
    each = [st.integers(0, 2**35 - 1) | st.integers(0, most) for most in usual]
    return st.tuples(*each).map(lambda drawn: b"".join(map(varint, drawn)))


@st.composite
def counted(draw: st.DrawFn) -> bytes:
    """A list of widths with its length, or with another."""
    widths = draw(st.lists(st.integers(0, 40) | st.integers(0, 2**35 - 1), max_size=70))
    count = draw(st.just(len(widths)) | st.integers(0, 70) | st.integers(0, 2**35 - 1))
    return varint(count) + b"".join(map(varint, widths))


NETWORKS = {
    "nif": st.tuples(counted(), counted(), numbers(70, 70)).map(b"".join),
    **dict.fromkeys(("coin", "siren"), numbers(600, 70, 70)),
    "struempler": st.tuples(numbers(600, 70, 70), st.just(b"") | st.binary(max_size=6)).map(b"".join),
}


@settings(max_examples=200, parent=settings.get_profile("fuzz"))
@given(st.data(), st.sampled_from(list(NETWORKS)), st.binary(max_size=300), st.binary(max_size=300))
def test_other_networks(data: st.DataObject, name: str, quantizer: bytes, body: bytes) -> None:
    configuration = data.draw(NETWORKS[name])
    refused_or_a_picture(altered(file(name), configuration=configuration, quantizer=quantizer, networks=body))


@settings(max_examples=60, parent=settings.get_profile("fuzz"))
@given(st.data())
@pytest.mark.parametrize("name", ["siren", "nif"])
def test_honest_sections_with_wild_numbers(name: str, data: st.DataObject) -> None:
    """Steps, spreads and bounds of a well-formed quantizer section, over a stream of any words."""
    if name == "siren":
        config = SirenConfig(*(data.draw(st.integers(*ends)) for ends in ((1, 6), (1, 3), (0, 2))))
    else:
        widths = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)
        config = NifConfig(data.draw(widths), data.draw(widths | st.just(())), *data.draw(st.tuples(*[st.integers(0, 2)] * 2)))
    quantizer = b""
    for _ in range(config.tensors):
        if data.draw(st.integers(0, 3)) == 0:
            quantizer += b"\xff"
            continue
        law = data.draw(st.integers(0, 163) | st.sampled_from([200, 201, 254]))
        quantizer += bytes([law])
        if law == 200:  # steps of rows, the largest among them, and a law
            quantizer += b"\xff" + data.draw(st.binary(max_size=5)) + bytes([data.draw(st.integers(0, 162))])
        if law in (160, 161):
            quantizer += bytes([data.draw(st.integers(0, 13) | st.integers(0, 255))])
        quantizer += data.draw(st.binary(min_size=2, max_size=2) | st.sampled_from([b"\x80\x3a", b"\x00\x3c"]))
        bound = data.draw(st.integers(0, 40) | st.integers(0, 1 << 16))
        quantizer += varint(bound)
        if law == 162:
            counts = data.draw(st.lists(st.integers(0, 40), min_size=min(2 * bound + 1, 81), max_size=81))
            quantizer += b"".join(map(varint, counts))
    quantizer = data.draw(st.sampled_from([b"", b"\xc9"])) + quantizer  # the range coder or ANS
    words = data.draw(st.lists(st.integers(0, 2**32 - 1), max_size=30))
    networks = np.array(words, dtype="<u4").tobytes()
    configuration = codecs.LEARNED[name].family.write_config(config)
    refused_or_a_picture(altered(file(name), configuration=configuration, quantizer=quantizer, networks=networks))


@pytest.mark.parametrize("name", ["coin", "nif"])
def test_weights_as_large_as_a_file_can_hold(name: str) -> None:
    """Sums of the largest float16 weights stay finite in float32, also far outside the canvas."""
    codec = codecs.LEARNED[name]
    network = codec.build(codec.config_of(encoded(name)), 1, bitstream.MAX_PIXELS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(65504.0)
    data = codec.pack(network, {})
    refused_or_a_picture(data)
    assert codecs.decode(data, size=SIZE).shape == (3, *SIZE)


@settings(max_examples=30, parent=settings.get_profile("fuzz"))
@given(st.data())
def test_large_weights_of_any_sign(data: st.DataObject) -> None:
    """Products of a modulation and a wave's argument, both as large as they come."""
    config = NifConfig((300, 3), (300, 2), 2, 1)
    network = codecs.NIF.build(config, 1, bitstream.MAX_PIXELS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(data.draw(st.sampled_from([65504.0, -65504.0, 1.0, 0.0])))
    data = codecs.NIF.pack(network, {})
    assert codecs.decode(data, size=SIZE).shape == (3, *SIZE)
    refused_or_a_picture(data)


# ------------------------------------------------------------------------------------------ classical codecs

FAST = dict(CLASSICAL)
if importlib.util.find_spec("pillow_heif") is None:
    del FAST["heic"]


@settings(max_examples=40, parent=settings.get_profile("fuzz"))
@given(st.data())
@pytest.mark.parametrize("name", FAST)
def test_classical_files(name: str, data: st.DataObject) -> None:
    """They have no checksum of ours: a damaged file may give a damaged picture, as in any viewer."""
    original = classical_file(name)
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(damaged)))
        damaged[position : position + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        decoded = CLASSICAL[name].decode(bytes(damaged))
    except BitstreamError as error:
        assert "\n" not in str(error)
    else:
        assert images.picture_problem(decoded) is None


@settings(max_examples=60)
@given(st.sampled_from(list(FAST)), st.binary(max_size=100))
def test_random_bytes_for_classical_codecs(name: str, data: bytes) -> None:
    with pytest.raises(BitstreamError):
        CLASSICAL[name].decode(data)
    with pytest.raises(BitstreamError):
        CLASSICAL[name].decode(classical_file(name)[:12] + data)


_CLASSICAL_FILES: dict[str, bytes] = {}


def classical_file(name: str) -> bytes:
    if name not in _CLASSICAL_FILES:
        _CLASSICAL_FILES[name] = FAST[name].encode(images.crop(picture(), 0, 0, 24, 32))
    return _CLASSICAL_FILES[name]


@pytest.mark.parametrize("name", FAST)
def test_an_inr_file_is_none_of_theirs(name: str) -> None:
    with pytest.raises(BitstreamError):
        CLASSICAL[name].decode(file("siren"))
