"""Masks and mixture consistency: from a network's output to estimates."""
