"""What a file says of the initialization that its network starts from: the number (varint) and the weights' CRC-32 (4 bytes)."""

from __future__ import annotations

from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.networks.differences import InitializationError, MetaConfig, load
from tutorial_lib.networks.siren import SirenConfig

_CHECKSUM_BYTES = 4


def write_reference(config: MetaConfig) -> bytes:
    """The bytes that name a network's initialization.

    Raises:
        InitializationError: it is missing here.
    """
    return varint(config.initialization) + load(config.initialization).checksum.to_bytes(_CHECKSUM_BYTES, "little")


def read_reference(reader: Reader, config: SirenConfig) -> MetaConfig:
    """The configuration of a network that starts where the file says.

    Raises:
        BitstreamError: the initialization is missing, another one, or one for networks of another shape.
    """
    number, checksum = reader.varint(), int.from_bytes(reader.take(_CHECKSUM_BYTES), "little")
    try:
        found = load(number)
    except InitializationError as error:
        raise BitstreamError(str(error)) from error
    if found.checksum != checksum:
        raise BitstreamError(
            f"the file starts from an initialization {number} with checksum {checksum:08x}, the one here has {found.checksum:08x}"
        )
    shape = (config.width, config.sine_layers, config.frequencies)
    if shape != (found.config.width, found.config.sine_layers, found.config.frequencies):
        raise BitstreamError(f"initialization {number} is for {SirenConfig.__str__(found.config)}, not for {config}")
    return found.config
