"""Panels of figures of separations: a waveform, spectrogram, mask or set of embeddings in given axes."""

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
    """Draw a spectrogram: levels of the mean of all channels, in dB relative to a full-scale sinusoid.

    Args:
        axes: Axes of the panel.
        audio: `(channels, samples)`.
        sample_rate: Sample rate in Hz.
        top: Level of the brightest colour, dB; the darkest is 80 dB below.
    """
    extent = (0.0, audio.shape[-1] / sample_rate, 0.0, sample_rate / 2)
    levels = stft_levels(audio, sample_rate, _COLUMNS)
    return axes.imshow(levels, extent=extent, vmin=top + FLOOR_DB, vmax=top, cmap="magma", **_IMAGE)


def highest_level(audio: Tensor, sample_rate: int) -> float:
    """Peak level of a spectrogram, rounded up to a multiple of 5 dB; -100 dB for silence."""
    return max(-100.0, 5 * float(np.ceil(stft_levels(audio, sample_rate, _COLUMNS).max() / 5)))


def show_waveform(axes: Axes, audio: Tensor, sample_rate: int) -> None:
    """Draw the smallest and largest sample of all channels `(channels, samples)` over time."""
    samples = audio.shape[-1]
    starts = np.unique(np.linspace(0, samples - 1, min(samples, _COLUMNS)).astype(int))
    low = np.minimum.reduceat(audio.numpy().min(axis=0), starts)
    high = np.maximum.reduceat(audio.numpy().max(axis=0), starts)
    axes.fill_between(starts / sample_rate, low, high, color="tab:blue", linewidth=0.5)


def show_mask(axes: Axes, mask: Tensor, seconds: float, sample_rate: int) -> AxesImage:
    """Draw a mask `(frequency, columns)`, from 0 (dark) to 1.

    Args:
        axes: Axes of the panel.
        mask: Mask with evenly spaced rows, from 0 to half the sample rate.
        seconds: Duration of the mask.
        sample_rate: Sample rate in Hz.
    """
    extent = (0.0, seconds, 0.0, sample_rate / 2)
    return axes.imshow(mask.numpy(), extent=extent, vmin=0.0, vmax=1.0, cmap="viridis", **_IMAGE)


def show_points(axes: Axes, embeddings: Tensor, groups: Tensor, names: Sequence[str]) -> None:
    """Draw the first two or three principal components of embeddings, one colour per group.

    Args:
        axes: Axes of the panel; three components if they have three dimensions.
        embeddings: `(points, dimensions)`; a subset is drawn if there are very many.
        groups: Number of the group of each point, `(points,)`.
        names: Names of the groups.
    """
    letters = "xyz" if axes.name == "3d" else "xy"
    step = -(-len(embeddings) // _POINTS)
    places, groups = project(embeddings, len(letters))[::step], groups[::step]
    for group, name in enumerate(names):
        axes.scatter(*places[groups == group].T.numpy(), label=name, **_SCATTER)
    for number, letter in enumerate(letters, 1):
        axes.set(**{f"{letter}label": f"component {number}"})
    # One scale for all axes, so that distances are comparable.
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(markerscale=4)


def project(embeddings: Tensor, dimensions: int = 2) -> Tensor:
    """Project points `(points, dimensions)` on their first principal components, padded with zeros.

    Returns:
        `(points, requested dimensions)`.
    """
    centred = embeddings.double() - embeddings.double().mean(dim=0)
    # Exact, and without torch.pca_lowrank's random numbers, which would change those of the training.
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    # The sign of a component is arbitrary: make the largest value positive.
    components = centred @ vectors.flip(1)[:, :dimensions]
    farthest = components.gather(0, components.abs().argmax(dim=0, keepdim=True))
    components = torch.where(farthest < 0, -components, components)
    return torch.nn.functional.pad(components, (0, dimensions - components.shape[1]))
