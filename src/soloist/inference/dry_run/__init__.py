"""Dry run: time, memory and disk space of a separation, before it runs."""
