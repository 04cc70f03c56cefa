"""Results of trainings: folders, tests, comparisons."""
