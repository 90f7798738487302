"""A file as one HTML page to fall into: ``inr view picture.inr``, and `tutorial_lib.widgets.zoom` in a notebook.

The page needs no network and no kernel. It holds what entropy decoding gave: of a network on coordinates the weights, which a
fragment shader evaluates for each pixel of the screen, at any zoom; of latent grids the integers and the networks that paint.
"""

from tutorial_lib.viewer.pages import page

__all__ = ["page"]
