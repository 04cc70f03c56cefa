"""Clustering of points: batches of clouds, on any device, with repeatable results."""
