"""Check of a corpus: decodes every file, measures every stem, and compares the splits."""

from soloist.datasets.checking.corpus_check import check_corpus
from soloist.datasets.checking.corpus_report import Finding, Report, SplitSummary

__all__ = ["Finding", "Report", "SplitSummary", "check_corpus"]
