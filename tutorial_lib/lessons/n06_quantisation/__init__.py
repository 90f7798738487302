"""Notebook 06, quantisation and packing."""
