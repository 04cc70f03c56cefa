"""nussl's masks from clusters of features.

nussl leaves the clustering to scikit-learn, which stops a little before convergence, at a point that depends
on the seed. Therefore scikit-learn (the extra "factorization") finds the clusters here too, in double
precision. Soloist's own clusterers come nearer to convergence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from replays.nussl.algorithms import is_binary
from replays.nussl.oracles import double_stft
from soloist.errors import ModelError
from soloist.estimation import loudest
from soloist.estimation.clustering.gaussian_mixture import GaussianFit
from soloist.resources import import_extra
from soloist.transforms import STFT

_FLOOR = 1e-8
"""Added to the responsibilities of k-means before they are divided by their sum."""

_MODULES = {"KMeans": "cluster", "MiniBatchKMeans": "cluster", "GaussianMixture": "mixture"}


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of nussl's clustering."""
    return str(config.get("system", "")).startswith("nussl") and config.get("kind") == "clustering"


def from_reference(
    config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Callable[..., dict[str, Tensor]]:
    """Rebuild the clusterings of a vector.

    Args:
        config: `num_sources`, `stft` ([window length, hop length, window]) and `runs` by name, each with
            nussl's arguments: `clustering_type`, `fit_clusterer`, `percentile`, `beta`, `mask_type`, and
            those of scikit-learn. `init` may be "stored". Without `runs`, `args` are those of a single run.
        state: Empty; there are no weights.

    Returns:
        A callable on audio `(channels, samples)`, features `(frequency, frames, channels, dimensions)` and
        stored centres, if any, `(sources, dimensions)`. It returns masks `(frequency, frames, channels,
        sources)` as `<run>/masks`.

    Raises:
        ModelError: An argument is unknown.
    """
    if state:
        raise ModelError(f"nussl's clustering has no weights, but was given {sorted(state)[0]}")
    shared = dict(config.get("args") or {})
    runs = {f"{name}/": shared | options for name, options in config.get("runs", {}).items()} or {"": shared}
    return partial(_separate, double_stft(*config["stft"]), runs, int(config["num_sources"]))


def _separate(
    stft: STFT,
    runs: Mapping[str, dict[str, Any]],
    num_sources: int,
    audio: Tensor,
    features: Tensor,
    centres: Tensor | None = None,
) -> dict[str, Tensor]:
    # In double precision, as in nussl: rounding decides which points count, and which belong to all alike.
    magnitudes = stft(torch.as_tensor(audio)[None].double())[0].abs()
    points = torch.as_tensor(features).double()
    loud = rearrange(magnitudes, "c f t -> 1 (f t c)")
    vectors = rearrange(points, "f t c e -> (f t c) e")
    return {
        f"{name}masks": _mask(dict(options), num_sources, loud, vectors, centres)
        .reshape(*points.shape[:3], num_sources)
        .float()
        for name, options in runs.items()
    }


def _mask(
    options: dict[str, Any], num_sources: int, magnitudes: Tensor, points: Tensor, centres: Tensor | None
) -> Tensor:
    """Masks `(points, sources)` of one run."""
    percentile, beta = float(options.pop("percentile", 90)), float(options.pop("beta", 5.0))
    kind, binary = options.pop("clustering_type", "KMeans"), is_binary(options)
    if isinstance(options.get("init"), str) and options["init"] == "stored":
        if centres is None:
            raise ModelError("the configuration's init is stored: give the centres after the features")
        options["init"] = centres
    if not isinstance(options.get("init", ""), str):
        options["init"] = torch.as_tensor(options["init"]).double()
    if options.pop("fit_clusterer", True):
        counted = loudest(magnitudes, percentile)[0]
        posteriors = _fit(kind, num_sources, points[counted], options, beta)(points)
    else:
        posteriors = _shares(options["init"], beta, points)
    return (posteriors == posteriors.amax(dim=1, keepdim=True)).to(posteriors) if binary else posteriors


def _fit(
    kind: str, num_sources: int, points: Tensor, options: dict[str, Any], beta: float
) -> Callable[[Tensor], Tensor]:
    """Fit clusters with scikit-learn; return a function from points `(points, dimensions)` to shares."""
    if kind not in _MODULES:
        raise ModelError(f"nussl's clustering {kind!r} is none of {', '.join(_MODULES)}")
    cls = getattr(import_extra(f"sklearn.{_MODULES[kind]}", "factorization"), kind)
    options = {key: value.numpy() if isinstance(value, Tensor) else value for key, value in options.items()}
    try:
        found = cls(num_sources, **options).fit(points.numpy())
    except (TypeError, ValueError) as error:
        raise ModelError(f"{kind} of scikit-learn: {error}") from error
    if kind != "GaussianMixture":
        return partial(_shares, torch.from_numpy(found.cluster_centers_), beta)
    centres, shares = torch.from_numpy(found.means_)[None], torch.from_numpy(found.weights_)[None]
    covariances = _as_full(
        torch.from_numpy(found.covariances_), options.get("covariance_type", "full"), centres
    )
    fit = GaussianFit.of(centres, covariances, shares, torch.ones_like(shares, dtype=torch.bool), shares)
    return lambda points: fit.posteriors(points[None])[0]


def _shares(centres: Tensor, beta: float, points: Tensor) -> Tensor:
    """Share of each cluster around the centres in each point of `(points, dimensions)`."""
    distances = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
    shares = (-beta * distances).exp() + _FLOOR
    return shares / shares.sum(dim=1, keepdim=True)


def _as_full(covariances: Tensor, kind: str, centres: Tensor) -> Tensor:
    """Expand covariances of scikit-learn to `(1, sources, dimensions, dimensions)`."""
    _, sources, dimensions = centres.shape
    if kind == "spherical":
        covariances = covariances[:, None].expand(-1, dimensions)
    full = torch.diag_embed(covariances) if kind in ("spherical", "diag") else covariances
    return full.expand(1, sources, dimensions, dimensions).contiguous()
