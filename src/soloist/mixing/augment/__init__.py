"""Augmentations: variations of the sources of an example, before they are mixed; one family a file."""
