"""Trainings: recipes, data, the loop, and what is kept of a run."""
