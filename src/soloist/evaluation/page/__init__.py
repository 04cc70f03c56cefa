"""The report: one page of HTML that needs nothing else, neither files nor a network."""

from soloist.evaluation.page.report_page import render_page

__all__ = ["render_page"]
