"""Experiments: everything that is done with a recipe, in stages, each once."""
