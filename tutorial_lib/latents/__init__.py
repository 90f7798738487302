"""The room of notebook 04: a picture as a pyramid of integer grids, a tiny synthesis network and a causal context model.

COOL-CHIC (Ladune et al., ICCV 2023; its second version: Leguay et al., arXiv 2307.12706). Grid i has ⌈H/2^i⌉×⌈W/2^i⌉
integers. Upsampled step by step and stacked, they are features from which a network of a few hundred weights paints
each pixel. A second network, the context model, predicts each integer from its decoded neighbours as a Laplace law:
its entropy is the file's size and part of the loss, so grids and both networks are fitted together to D + λR.

`shape` says how many grids and which layers, `layers` are the networks, `contexts` what predicts an integer, `grids` the
picture. `kernels` are the few operations written out for speed, each beside its plain form. `packing` and `coding` make bytes of
networks and grids, `rounding` rounds the networks.
"""
