"""Notebook 00, the welcome."""
