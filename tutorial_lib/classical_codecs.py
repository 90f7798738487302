"""Moved to `tutorial_lib.codecs.classical` and `tutorial_lib.codecs.base`."""

from tutorial_lib.codecs.base import CodecError
from tutorial_lib.codecs.classical import CODECS, SUFFIXES, ClassicalCodec, _jpegxl_size

__all__ = ["CODECS", "SUFFIXES", "ClassicalCodec", "CodecError", "_jpegxl_size"]
