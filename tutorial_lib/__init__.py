"""Implicit neural image compression: a picture as a small network, the network as a small file.

Start with `tutorial_lib.codecs` (a picture in, bytes out, and back), or with the notebooks.
"""

__version__ = "0.1.0"
