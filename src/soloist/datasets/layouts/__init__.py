"""Corpora by their layout on disk, one file a family of layouts."""
