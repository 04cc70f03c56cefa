"""Soloist takes a mixture of sounds apart."""
