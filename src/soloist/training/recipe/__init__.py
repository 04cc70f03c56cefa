"""Recipes: everything about a training in one YAML file."""
