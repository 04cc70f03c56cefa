"""Augmentations: variations of the sources of an example before mixing, one family per file."""
