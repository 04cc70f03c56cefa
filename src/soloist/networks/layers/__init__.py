"""Shared layers, and the contracts of networks."""
