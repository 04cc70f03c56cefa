"""REPET: repetition by its period."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.training_free.mask_separator import MaskType, RepetitionSeparator, ratio_mask
from soloist.separators.training_free.sliding import median_of_frames
from soloist.transforms import Window


class Repet(RepetitionSeparator):
    """Models the accompaniment by the median of a pattern's repetitions at one period [1].

    The period is the lag of the largest value of the beat spectrum, the autocorrelation of the power
    spectrogram averaged over frequency and channels [2]; it is at most a third of the mixture.
    (In [1] candidates are also scored by their multiples, but not in the authors' later programs.)

    Memory grows with the length of a chunk. Each chunk of a file has a period and medians of its own: the
    pattern may change from chunk to chunk. A mixture shorter than three of the shortest periods is all
    accompaniment.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture.
        n_fft: Length of the window, samples; None for the power of two nearest to 40 ms.
        hop_length: Distance of the frames, samples; None for half the window.
        window: Name of the window.
        mask: "soft", or "hard": each bin goes to the source with the larger soft mask.
        high_pass: Frequency, Hz, below which everything is accompaniment; 0 for none.
        min_period: Shortest period of the search, s.
        max_period: Longest period of the search, s.
        period: Known period, s; None to search.

    References:
        [1] Z. Rafii and B. Pardo, "REpeating Pattern Extraction Technique (REPET): a simple method for
        music/voice separation", IEEE Trans. Audio, Speech and Language Processing 21(1), 2013.
        [2] J. Foote and S. Uchihashi, "The beat spectrum: a new approach to rhythm analysis", ICME 2001.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        mask: MaskType = "soft",
        high_pass: float = 100.0,
        min_period: float = 0.8,
        max_period: float = 8.0,
        period: float | None = None,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length,
            window=window,
            mask=mask,
            high_pass=high_pass,
        )
        if not 0 < min_period <= max_period or (period is not None and period <= 0):
            raise UsageError(
                f"REPET needs 0 < min_period <= max_period and a period above 0, in seconds: "
                f"{min_period:g}, {max_period:g}, {period}"
            )
        self.min_period = self._frames(min_period)
        self.max_period = self._frames(max_period)
        self.period = None if period is None else self._frames(period)

    @property
    def chunk_length(self) -> int:
        """Half a minute: enough repetitions of a pattern of several seconds."""
        return 30 * self.sample_rate

    def background(self, magnitudes: Tensor) -> Tensor:
        """Soft mask of the repeating part; see `RepetitionSeparator`."""
        return torch.stack([self._background_of_item(item) for item in magnitudes])

    def _frames(self, seconds: float) -> int:
        return math.ceil(seconds / (self.stft.hop_length / self.sample_rate))

    def _background_of_item(self, magnitudes: Tensor) -> Tensor:
        period = self.period or self._find_period(magnitudes)
        if period is None:
            return torch.ones_like(magnitudes)
        num_frames = magnitudes.shape[-1]
        position = torch.arange(num_frames, device=magnitudes.device)
        starts = position[: min(period, num_frames)]
        repetitions = starts[:, None] + position[::period]
        counts = (repetitions < num_frames).sum(dim=1)
        frames = rearrange(magnitudes, "c f t -> t (c f)")
        pattern = median_of_frames(frames, repetitions.clamp(max=num_frames - 1), counts)
        model = rearrange(pattern[position % period], "t (c f) -> c f t", c=magnitudes.shape[0])
        return ratio_mask(model, magnitudes)

    def _find_period(self, magnitudes: Tensor) -> int | None:
        """Period of `(channels, frequency, frames)` in frames; None if too short for three repetitions."""
        longest = min(self.max_period, math.ceil((magnitudes.shape[-1] - 1) / 3))
        if longest < self.min_period:
            return None
        lags = beat_spectrum(magnitudes)[self.min_period : longest + 1]
        return self.min_period + int(lags.argmax())


def beat_spectrum(magnitudes: Tensor) -> Tensor:
    """Mean autocorrelation of the power at each frequency, unbiased.

    Args:
        magnitudes: `(channels, frequency, frames)`.

    Returns:
        One value for each lag in frames, `(frames,)`, relative to the square of the largest power.
    """
    num_frames = magnitudes.shape[-1]
    power = magnitudes.square().mean(dim=0)
    power = power / power.amax().clamp(min=torch.finfo(power.dtype).tiny)
    spectrum = torch.fft.rfft(power, n=2 * num_frames).abs().square().mean(dim=0)
    correlation = torch.fft.irfft(spectrum, n=2 * num_frames)[:num_frames]
    return correlation / torch.arange(num_frames, 0, -1, device=power.device)
