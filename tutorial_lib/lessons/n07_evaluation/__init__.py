"""Notebook 07, evaluation."""
