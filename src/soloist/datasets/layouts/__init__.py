"""Layouts of corpora, one family per file."""
