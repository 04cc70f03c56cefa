"""Separators that need no training."""
