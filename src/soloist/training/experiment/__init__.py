"""Experiments: all stages of a recipe, each done once."""
