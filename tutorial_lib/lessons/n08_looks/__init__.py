"""Notebook 08, decoders for the eye."""
