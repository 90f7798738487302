"""Moved to `tutorial_lib.networks.siren`."""

from tutorial_lib.images.canvas import TILE_VALUES, render_tiles
from tutorial_lib.networks.siren import PositionalEncoding, SineLayer, Siren, SirenConfig, initialize
