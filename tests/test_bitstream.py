"""The container: layout, varints, and everything that is no intact file."""

from __future__ import annotations

import zlib
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib import images
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, Container, Reader, varint

SECTIONS = {"configuration": b"abc", "quantizer": b"", "networks": b"0123456789"}

containers = st.builds(
    Container,
    codec=st.integers(0, 255),
    height=st.integers(1, 11_000),
    width=st.integers(1, 12_000),
    sections=st.dictionaries(st.sampled_from(list(bitstream.SECTION_NAMES.values())), st.binary(max_size=300)),
)


def seal(body: bytes) -> bytes:
    """The bytes with their CRC-32 behind them, whatever they say."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_layout_by_hand() -> None:
    data = bitstream.write(Container(7, 300, 5, {"configuration": b"xy", "networks": b"z"}))
    by_hand = b"INR" + bytes([1, 7]) + b"\xac\x02" + b"\x05" + bytes([2, 1, 2, 3, 1]) + b"xyz"
    assert data == by_hand + zlib.crc32(by_hand).to_bytes(4, "little")


@given(containers)
def test_there_and_back(container: Container) -> None:
    data = bitstream.write(container)
    back = bitstream.read(data)
    assert back == container and list(back.sections) == [name for name in bitstream.SECTION_KINDS if name in container.sections]
    assert bitstream.write(back) == data
    assert bitstream.read(bytearray(data)) == bitstream.read(memoryview(data)) == container


@given(containers, st.randoms())
def test_equal_containers_are_equal_bytes_and_other_orders_are_no_file(container: Container, random: Random) -> None:
    names = list(container.sections)
    random.shuffle(names)
    shuffled = replace(container, sections={name: container.sections[name] for name in names})
    data = bitstream.write(container)
    assert bitstream.write(shuffled) == data
    ascending = names == list(bitstream.read(data).sections)
    reduced = "reduction" in names
    for version in (2,) if reduced else (0, 1):
        table = b"".join(bytes([bitstream.SECTION_KINDS[name]]) + varint(len(container.sections[name])) for name in names)
        head = b"INR" + bytes([version, container.codec]) + varint(container.height) + varint(container.width)
        other = seal(head + bytes([len(names)]) + table + b"".join(shuffled.sections.values()))
        if ascending or version == 0:  # of which it was never said
            assert bitstream.read(other) == container
        else:
            with pytest.raises(BitstreamError, match="another order"):
                bitstream.read(other)


@given(containers)
def test_every_byte_is_in_one_part(container: Container) -> None:
    data = bitstream.write(container)
    anatomy = bitstream.anatomy(data)
    assert list(anatomy) == ["header", *bitstream.read(data).sections, "checksum"]
    assert sum(anatomy.values()) == len(data)
    assert all(anatomy[name] == len(body) for name, body in container.sections.items())
    assert anatomy["header"] + anatomy["checksum"] <= 40


def test_the_largest_header() -> None:
    sections = dict.fromkeys(bitstream.SECTION_NAMES.values(), bytes(1 << 21))
    anatomy = bitstream.anatomy(bitstream.write(Container(255, 1, bitstream.MAX_PIXELS, sections)))
    assert anatomy["header"] + anatomy["checksum"] <= 40


@given(st.integers(0, (1 << 35) - 1))
def test_varint(value: int) -> None:
    data = varint(value)
    reader = Reader(data, "test")
    assert reader.varint() == value
    reader.end()
    assert len(data) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize("value", [-1, 1 << 35])
def test_varint_refuses(value: int) -> None:
    with pytest.raises(ValueError):
        varint(value)


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\x80\x00", b"\x80" * 5, b"\xff" * 9])
def test_varint_in_another_form(data: bytes) -> None:
    with pytest.raises(BitstreamError, match="the test holds a malformed number"):
        Reader(data, "test").varint()


def test_reader_names_what_is_missing_or_left() -> None:
    reader = Reader(b"abcd", "test")
    assert reader.take(3) == b"abc"
    with pytest.raises(BitstreamError, match="the test has 1 bytes left over"):
        reader.end()
    with pytest.raises(BitstreamError, match="the test ends early: 2 bytes wanted at byte 3, 1 are there"):
        reader.take(2)
    assert reader.byte() == ord("d")
    reader.end()
    for read in (reader.byte, reader.varint):
        with pytest.raises(BitstreamError, match="ends early"):
            read()


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (1 << 14, (1 << 13) + 1), (10**9, 1)])
def test_write_refuses_sizes(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="pixels"):
        bitstream.write(Container(1, *size, SECTIONS))


def test_write_refuses_sections_without_a_number() -> None:
    with pytest.raises(ValueError, match="'thumbnail'.*configuration"):
        bitstream.write(Container(1, 5, 5, {"thumbnail": b""}))


def test_limit_is_that_of_pictures() -> None:
    assert bitstream.MAX_PIXELS == images.MAX_PIXELS
    limit = Container(1, 1 << 14, 1 << 13, SECTIONS)
    assert bitstream.read(bitstream.write(limit)) == limit


HEAD = b"INR\x00\x01\x05\x05"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"I", "not an .inr file"),
        (b"\x89PNG\r\n\x1a\n", r"not an .inr file: it starts with b'\\x89PNG'"),
        (b"INR", "ends early"),
        (b"INR\x00", "ends early: it has no checksum"),
        (b"INR\x00\x00\x00\x00", "ends early: it has no checksum"),
        (b"INR\x04" + bytes(40), "version 4, newer than the version 3 that this program reads"),
        (seal(b"INR\xff"), "version 255, newer"),
        (b"INR\x01" + bytes(40), "checksum does not match"),
        (b"INR\x00" + bytes(40), "checksum does not match"),
        (seal(b"INR\x00"), "ends early"),
        (seal(b"INR\x00\x01\x05"), "ends early|malformed|left over|no pixels"),
        (seal(b"INR\x00\x01\x00\x05\x00"), "5×0 pixels has no pixels"),
        (seal(b"INR\x00\x01" + varint(10**9) + b"\x01\x00"), "1×1000000000 pixels is larger than"),
        (seal(b"INR\x00\x01" + varint((1 << 35) - 1) * 2 + b"\x00"), "larger than"),
        (seal(b"INR\x00\x01" + b"\xff" * 20), "malformed number"),
        (seal(HEAD + b"\x01\x09\x00"), "kind 9, unknown or twice"),
        (seal(HEAD + b"\x02\x01\x00\x01\x00"), "kind 1, unknown or twice"),
        (seal(HEAD + b"\xff" + b"\x01\x00" * 4), "unknown or twice"),
        (seal(HEAD + b"\x01\x01\x05abc"), "ends early"),  # would reach into the checksum
        (seal(HEAD + b"\x01\x01" + varint((1 << 35) - 1)), "ends early"),
        (seal(HEAD + b"\x00abc"), "3 bytes left over"),
    ],
)
def test_what_is_no_file(data: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message) as caught:
        bitstream.read(data)
    assert "\n" not in str(caught.value)
    with pytest.raises(BitstreamError):
        bitstream.anatomy(data)


@given(containers)
def test_version_0_is_read_as_ever(container: Container) -> None:
    data = bitstream.write(container)
    assert data[3] == (2 if "reduction" in container.sections else 1)
    old = seal(data[:3] + b"\x00" + data[4:-4])
    if "reduction" in container.sections:
        with pytest.raises(BitstreamError, match="of format version 2"):
            bitstream.read(old)
    else:
        assert bitstream.read(old) == container and bitstream.anatomy(old) == bitstream.anatomy(data)


def test_anything_behind_the_checksum_is_noticed() -> None:
    data = bitstream.write(Container(1, 5, 5, SECTIONS))
    for more in (b"\0", b"\n", data):
        with pytest.raises(BitstreamError, match="checksum"):
            bitstream.read(data + more)
