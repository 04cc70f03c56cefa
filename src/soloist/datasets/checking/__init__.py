"""What is wrong with a corpus: every file decoded, every stem measured, splits compared."""

from soloist.datasets.checking.corpus import check_corpus
from soloist.datasets.checking.report import Finding, Report, SplitSummary

__all__ = ["Finding", "Report", "SplitSummary", "check_corpus"]
