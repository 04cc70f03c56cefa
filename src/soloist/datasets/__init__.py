"""Corpora, and the synthetic band."""
