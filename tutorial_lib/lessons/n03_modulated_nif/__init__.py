"""Notebook 03, NIF's modulated sines."""
