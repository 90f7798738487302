"""Notebook 05, losses."""
