"""Notebook 02, SIREN and positional encoding."""
