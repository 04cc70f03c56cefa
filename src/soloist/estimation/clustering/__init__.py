"""Clustering of points, many clouds of them at once, on any device, and the same result each time."""

from soloist.estimation.clustering.clusterer import Clusterer, Fit, Start
from soloist.estimation.clustering.gaussian_mixture import GaussianMixture
from soloist.estimation.clustering.kmeans import KMeans, SoftKMeans

__all__ = ["Clusterer", "Fit", "GaussianMixture", "KMeans", "SoftKMeans", "Start"]
