"""What is wrong with a corpus: every file decoded, every stem measured, splits compared."""

from soloist.datasets.checking.corpus_check import check_corpus
from soloist.datasets.checking.corpus_report import Finding, Report, SplitSummary

__all__ = ["Finding", "Report", "SplitSummary", "check_corpus"]
