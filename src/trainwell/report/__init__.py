"""A run folder in, one HTML file out."""

from trainwell.report.page import write_report

__all__ = ["write_report"]
