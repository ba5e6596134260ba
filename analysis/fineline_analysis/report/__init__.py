"""The report: one HTML file that needs no network, and the same plots as images."""

from fineline_analysis.report.images import write_images
from fineline_analysis.report.page import render

__all__ = ["render", "write_images"]
