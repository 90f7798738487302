"""Notebook 09, any signal: sound and video with the same loop."""
