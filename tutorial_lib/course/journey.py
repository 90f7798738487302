"""The way of a picture, as notebook 00 draws it."""

from tutorial_lib.lessons.n00_welcome.figures import journey

__all__ = ["journey"]
