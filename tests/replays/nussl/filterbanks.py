"""Filterbanks of nussl's end-to-end networks, with its framing, scales and axes.

Both consist of weights alone: the Fourier transform is a matrix that can be trained too.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import ModelError


class LearnedFilterBank(nn.Module):
    """Learned analysis and synthesis of windowed frames.

    Audio is `(batch, channels, samples)`, features are `(batch, frames, filters, channels)`; features of
    separated audio, and that audio, have a last axis of sources. The inverse gives as many samples as the
    last analysis had.

    Args:
        num_filters: Number of filters.
        filter_length: Samples of a frame.
        hop_length: Distance of the frames, samples; a quarter of a frame if None.
        **_options: Options of the initial weights, without effect: `window_type`, `requires_grad`, ...
    """

    def __init__(
        self, num_filters: int, filter_length: int, hop_length: int | None = None, **_options: Any
    ) -> None:
        super().__init__()
        self.filter_length = filter_length
        self.hop_length = hop_length or filter_length // 4
        features = self.num_features(num_filters)
        self.transform_filters = nn.Parameter(torch.zeros(filter_length, features))
        self.inverse_filters = nn.Parameter(torch.zeros(features, filter_length))
        self.register_buffer("window", torch.ones(1, 1, filter_length, 1))
        self.length = 0

    window: Tensor

    def num_features(self, num_filters: int) -> int:
        """Features of a frame."""
        return num_filters

    def forward(self, data: Tensor, direction: str = "transform") -> Tensor:
        """Analyse, or synthesise where the direction is "inverse".

        Raises:
            ModelError: The direction is unknown.
        """
        if direction == "transform":
            return self.analyze(data)
        if direction == "inverse":
            return self.synthesize(data)
        raise ModelError(f"a filterbank of nussl has no direction {direction!r}")

    def analyze(self, audio: Tensor) -> Tensor:
        """Features `(batch, frames, features, channels)` of audio."""
        self.length = audio.shape[-1]
        half = self.filter_length // 2
        extra = -(self.length - self.filter_length) % self.hop_length % self.filter_length
        frames = F.pad(audio, (half, half + extra)).unfold(-1, self.filter_length, self.hop_length)
        frames = frames * self.window.flatten()
        return rearrange(frames @ self.transform_filters, "b c t f -> b t f c")

    def synthesize(self, features: Tensor) -> Tensor:
        """Audio of features."""
        tail = [] if features.ndim == 4 else list(features.shape[4:])
        window = self.window.flatten()
        frames = rearrange(features.flatten(3), "b t f k -> b k t f") @ self.inverse_filters
        frames = frames * window.sum() * window
        weight = self._overlap_add(window.square().expand(1, 1, frames.shape[2], -1))
        audio = self._overlap_add(frames) / torch.where(weight == 0, 1.0, weight)
        start = self.filter_length // 2
        audio = audio[..., start : start + self.length]
        return rearrange(audio, "b k t -> b t k").unflatten(-1, (features.shape[3], *tail)).movedim(2, 1)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Audio `(batch, k, samples)` of frames `(batch, k, frames, filter_length)`."""
        reach = (frames.shape[2] - 1) * self.hop_length + self.filter_length
        columns = rearrange(frames, "b k t n -> (b k) n t")
        audio = F.fold(columns, (1, reach), (1, self.filter_length), stride=(1, self.hop_length))
        # The rest at the end lies in no frame.
        audio = F.pad(audio[:, 0, 0], (0, self.hop_length))
        return rearrange(audio, "(b k) t -> b k t", b=frames.shape[0])


class STFT(LearnedFilterBank):
    """Fourier transform as a matrix, whose features are magnitudes, then phases.

    Its spectrogram is divided by the sum of the window.
    """

    tiny = 1e-8

    def num_features(self, num_filters: int) -> int:
        """Real and imaginary parts, or magnitudes and phases."""
        return 2 * (num_filters // 2 + 1)

    def analyze(self, audio: Tensor) -> Tensor:
        """Magnitudes and phases `(batch, frames, 2 * bins, channels)` of audio."""
        parts = super().analyze(audio) / self.window.sum()
        # Gives the phase of zero a gradient.
        real, imaginary = torch.where(parts.abs() <= self.tiny, self.tiny, parts).chunk(2, dim=2)
        return torch.cat([torch.hypot(real, imaginary), torch.atan2(imaginary, real)], dim=2)

    def synthesize(self, features: Tensor) -> Tensor:
        """Audio of magnitudes and phases."""
        magnitude, phase = features.chunk(2, dim=2)
        return super().synthesize(torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], dim=2))
