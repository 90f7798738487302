"""What codecs have in common."""


class CodecError(ValueError):
    """A request that a codec can't fulfil; the message is one sentence for the reader."""
