"""Notebook 06, quantization and packing."""
