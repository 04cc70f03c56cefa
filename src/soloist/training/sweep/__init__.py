"""Sweeps over the values of a recipe."""
