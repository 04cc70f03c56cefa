"""Speed of clustering of the embeddings of 10 s of speech, compared with scikit-learn.

    python benchmarks/clustering.py [--threads 2] [--runs 7]

Both find two clusters in the same points: embeddings of 20 dimensions of the loudest tenth of an STFT (256
samples, hop 64, 8 kHz), in single precision, with equal numbers of seeds. Runs alternate; prints medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import get_args

import sklearn.cluster
import sklearn.mixture
import torch
from torch import Tensor

from soloist.estimation import GaussianMixture, KMeans, loudest
from soloist.estimation.clustering.gaussian_mixture import Covariance

BINS, FRAMES, DIMENSIONS, CLUSTERS = 129, 1251, 20, 2


def make_embeddings(spread: float) -> tuple[Tensor, Tensor]:
    """Draw unit vectors around two directions `(1, points, dimensions)`, and their weights."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.eye(CLUSTERS, DIMENSIONS)
    labels = torch.randint(CLUSTERS, (BINS * FRAMES,), generator=generator)
    noise = spread * torch.randn(BINS * FRAMES, DIMENSIONS, generator=generator)
    points = torch.nn.functional.normalize(directions[labels] + noise, dim=-1)
    return points[None], loudest(torch.rand(1, BINS * FRAMES, generator=generator), 90.0)


def seconds(function: Callable[[], object]) -> float:
    """Measure the processor time of a call, which excludes other processes."""
    begun = time.process_time()
    function()
    return time.process_time() - begun


def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> None:
    """Time both alternately and print medians."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs)]
    mine, other = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{name:34} Soloist {mine:7.1f} ms   scikit-learn {other:7.1f} ms   ratio {mine / other:.2f}")


def compare_kmeans(title: str, points: Tensor, counted: Tensor, restarts: int, runs: int) -> None:
    """Compare k-means with a number of seeds."""
    ours, theirs = (
        KMeans(restarts=restarts),
        sklearn.cluster.KMeans(CLUSTERS, n_init=restarts, random_state=0),
    )
    compare(
        f"k-means, {title}, {restarts} seeds",
        lambda: ours.fit(points, counted, CLUSTERS),
        lambda: theirs.fit(points[counted].numpy()),
        runs,
    )


def compare_mixtures(title: str, points: Tensor, counted: Tensor, kind: str, runs: int) -> None:
    """Compare Gaussian mixtures with a type of covariance."""
    ours = GaussianMixture(kind, restarts=1)
    called = {"diagonal": "diag"}.get(kind, kind)
    theirs = sklearn.mixture.GaussianMixture(CLUSTERS, covariance_type=called, random_state=0)
    compare(
        f"mixture ({kind}), {title}, 1 seed",
        lambda: ours.fit(points, counted, CLUSTERS),
        lambda: theirs.fit(points[counted].numpy()),
        runs,
    )


def main() -> None:
    """Compare k-means and mixtures, on clear and unclear clusters."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for title, spread in (("clear", 0.1), ("unclear", 0.3)):
        points, counted = make_embeddings(spread)
        for restarts in (1, 10):
            compare_kmeans(title, points, counted, restarts, options.runs)
        for kind in get_args(Covariance):
            compare_mixtures(title, points, counted, kind, options.runs)


if __name__ == "__main__":
    main()
