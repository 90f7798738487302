"""The page of a file: decoded and judged here, drawn by the scripts in ``templates``."""

from __future__ import annotations

from typing import Any

from tutorial_lib import codecs
from tutorial_lib.codecs import CodecError
from tutorial_lib.coding import bitstream
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.networks.nif import Nif
from tutorial_lib.networks.siren import Siren
from tutorial_lib.viewer import grids, networks
from tutorial_lib.widgets import exact_source, templates

MAX_PIXELS = 1 << 24
"""Of a picture in a page: its decoded copy is a texture, and textures of 4,096 a side are what every browser has."""


def page(data: bytes, title: str = "") -> str:
    """A self-contained HTML page that shows a file: a network zooms without end, grids can be switched off.

    Args:
        data: an ``.inr`` file, whole.
        title: of the page, any text.

    Raises:
        BitstreamError: damaged, truncated, foreign or hostile bytes; no page is made of them.
        CodecError: a representation that the page can't evaluate, or a picture too large for it.
    """
    codec = codecs.codec_of(data)
    # decoded first, as a viewer would: what is refused there never reaches a page
    representation = codec.open(data)
    height, width = representation.height, representation.width
    header = bitstream.read(data)
    pixels = header.height * header.width  # more than are painted here, if the picture was fitted at 1/2, 1/3 … of its size
    picture = codec.decode(data, (height, width), device="cpu")  # at the size of its fit
    if max(height, width) ** 2 > MAX_PIXELS:
        raise CodecError(f"{width}×{height} pixels are more than a page shows: 4,096 a side at most")
    shown: dict[str, Any] = {
        "codec": codec.name,
        "bytes": len(data),
        "bpp": 8 * len(data) / pixels,
        "width": width,
        "height": height,
        "weights": codec.config_of(data).weights,
        "operations": codec.operations_per_pixel(data) * pixels / (height * width),
        "shown_at": [header.width, header.height],
        "decoded": exact_source(picture),
    }
    match representation:
        case Siren() | Nif():
            shown |= {"network": networks.facts(representation)}
        case LatentGrids():
            shown |= {"pyramid": grids.facts(representation)}
        case _:
            raise CodecError(f"a page can't evaluate what {codec.name} fits: decode the file instead")
    title = title or f"A picture of {width}×{height} pixels"
    return templates("viewer/templates").get_template("view.html.jinja").render(title=title, shown=shown)
