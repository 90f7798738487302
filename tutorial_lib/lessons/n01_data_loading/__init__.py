"""Notebook 01, pictures as functions."""
