"""Examples, batches and loaders of a training."""
