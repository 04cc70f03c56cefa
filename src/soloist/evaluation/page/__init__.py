"""Report of an evaluation as one HTML page that needs neither other files nor a network."""

from soloist.evaluation.page.report_page import render_page

__all__ = ["render_page"]
