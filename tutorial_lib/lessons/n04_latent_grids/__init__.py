"""Notebook 04, latent grids."""
