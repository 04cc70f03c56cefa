"""Masks, Wiener filter and mixture consistency: from a network's output to estimates."""
