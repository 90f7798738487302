"""Moved to `tutorial_lib.coding.bitstream`."""
# ruff: noqa: F401

from tutorial_lib.coding.bitstream import (
    MAGIC,
    MAX_PIXELS,
    SECTION_NAMES,
    VERSION,
    BitstreamError,
    Container,
    Reader,
    anatomy,
    read,
    varint,
    write,
)
from tutorial_lib.coding.bitstream import SECTION_KINDS as _SECTION_KINDS
