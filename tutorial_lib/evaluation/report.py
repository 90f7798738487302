"""The page of a sweep, under its former name."""

from tutorial_lib.evaluation.page import write_page as write_report

__all__ = ["write_report"]
