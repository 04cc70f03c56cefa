"""What pictures of separations are made of: one signal, mask or cloud of points in one pair of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from torch import Tensor

from soloist.plots.stft_levels import stft_levels

FLOOR_DB = -80.0

_COLUMNS = 500
_POINTS = 6000
_SCATTER: dict[str, Any] = {"s": 3, "alpha": 0.5, "linewidths": 0}
_IMAGE: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}


def show_levels(axes: Axes, audio: Tensor, sample_rate: int, *, top: float = 0.0) -> AxesImage:
    """Draw a spectrogram: levels of the mean of all channels, in dB of a full-scale sinusoid.

    Args:
        axes: Where.
        audio: `(channels, samples)`.
        sample_rate: Hz.
        top: The level that is brightest, dB; 80 dB below it is dark.
    """
    extent = (0.0, audio.shape[-1] / sample_rate, 0.0, sample_rate / 2)
    levels = stft_levels(audio, sample_rate, _COLUMNS)
    return axes.imshow(levels, extent=extent, vmin=top + FLOOR_DB, vmax=top, cmap="magma", **_IMAGE)


def highest_level(audio: Tensor, sample_rate: int) -> float:
    """The multiple of 5 dB that is just above the loudest of a spectrogram; -100 dB for silence."""
    return max(-100.0, 5 * float(np.ceil(stft_levels(audio, sample_rate, _COLUMNS).max() / 5)))


def show_waveform(axes: Axes, audio: Tensor, sample_rate: int) -> None:
    """Draw the least and the greatest sample of all channels `(channels, samples)` at each time."""
    samples = audio.shape[-1]
    starts = np.unique(np.linspace(0, samples - 1, min(samples, _COLUMNS)).astype(int))
    low = np.minimum.reduceat(audio.numpy().min(axis=0), starts)
    high = np.maximum.reduceat(audio.numpy().max(axis=0), starts)
    axes.fill_between(starts / sample_rate, low, high, color="tab:blue", linewidth=0.5)


def show_mask(axes: Axes, mask: Tensor, seconds: float, sample_rate: int) -> AxesImage:
    """Draw a mask `(frequency, columns)`, from 0 (dark) to 1.

    Args:
        axes: Where.
        mask: Its rows are equally far from each other, from 0 to half the sample rate.
        seconds: How long it lasts.
        sample_rate: Hz.
    """
    extent = (0.0, seconds, 0.0, sample_rate / 2)
    return axes.imshow(mask.numpy(), extent=extent, vmin=0.0, vmax=1.0, cmap="viridis", **_IMAGE)


def show_points(axes: Axes, embeddings: Tensor, groups: Tensor, names: Sequence[str]) -> None:
    """Draw embeddings on the plane, or in the space, in which they vary most, each group in its colour.

    Args:
        axes: Where; axes in three dimensions show a space.
        embeddings: `(points, dimensions)`; of very many, some are drawn.
        groups: The number of the group of each point, `(points,)`.
        names: Names of the groups.
    """
    letters = "xyz" if axes.name == "3d" else "xy"
    step = -(-len(embeddings) // _POINTS)
    places, groups = project(embeddings, len(letters))[::step], groups[::step]
    for group, name in enumerate(names):
        axes.scatter(*places[groups == group].T.numpy(), label=name, **_SCATTER)
    for number, letter in enumerate(letters, 1):
        axes.set(**{f"{letter}label": f"component {number}"})
    # One scale for all: what looks far apart is.
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(markerscale=4)


def project(embeddings: Tensor, dimensions: int = 2) -> Tensor:
    """The first principal components of `(points, dimensions)`; what they do not have is zero.

    Returns:
        `(points, dimensions asked for)`.
    """
    centred = embeddings.double() - embeddings.double().mean(dim=0)
    # Exact, and without the random numbers of torch.pca_lowrank, which would be taken from the training.
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    # An axis may point either way: the side on which it reaches farther is the right one.
    components = centred @ vectors.flip(1)[:, :dimensions]
    farthest = components.gather(0, components.abs().argmax(dim=0, keepdim=True))
    components = torch.where(farthest < 0, -components, components)
    return torch.nn.functional.pad(components, (0, dimensions - components.shape[1]))
