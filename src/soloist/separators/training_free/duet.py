"""DUET: sources at the peaks of a histogram of attenuations and delays."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from soloist.errors import UsageError
from soloist.separators.training_free.sliding import sliding_maximum
from soloist.separators.training_free.stereo import Cues, StereoSeparator
from soloist.transforms import Window

_RELEASED_FLOOR = 1e-16


class Duet(StereoSeparator):
    """Gives each point of a stereo spectrogram to the source with the best attenuation and delay [1].

    If few sources sound at the same time and frequency, each point shows level and delay of one source in the
    second channel relative to the first. A weighted histogram of both has a peak for each source; each point
    goes to the most likely peak. There may be more sources than channels. The estimates are the images of
    the sources in both channels, and add up to the mixture. Sources without a peak are silent.

    The axes of the histogram are `a - 1 / a` of the attenuation `a`, and the delay of the second channel in
    samples. Frequencies at which the largest delay exceeds half a period are left out, because phases are
    ambiguous there, and separated like all others.

    Each chunk of a file has a histogram of its own; the sources are matched to the chunk before.

    Args:
        num_sources: Number of sources.
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture: two.
        n_fft: Length of the window, samples; None for the power of two nearest to 64 ms.
        hop_length: Distance of the frames, samples; None for a quarter of the window.
        window: Name of the window.
        attenuations: Range of the histogram in symmetric attenuation; 3 is 10.4 dB. Points outside count at
            the ends.
        delays: Range of the histogram in delay, samples.
        bins: Bins of the histogram along attenuation and delay. Odd numbers have one for the middle.
        peak_threshold: Least height of a peak in [0, 1], where 0 is the lowest and 1 the highest bin.
        peak_distance: Least distance of peaks, in bins along attenuation and delay.
        smoothing: Side, in bins, of the square over which the histogram is averaged; odd.
        p: Exponent of the product of both magnitudes in the weight of a point.
        q: Exponent of the frequency in the weight of a point.
        as_released: Follow nussl: delays are divided by 2 pi once more, so that their range is wider by that
            factor; all frequencies count, and no attenuation out of range; a peak lies at the lower edge of
            its bin; flanks of a peak beyond `peak_distance` count as peaks; and the masks of three sources or
            more overlap.

    References:
        [1] Ö. Yilmaz and S. Rickard, "Blind separation of speech mixtures via time-frequency masking", IEEE
        Trans. Signal Processing 52(7), 2004.
    """

    def __init__(
        self,
        num_sources: int = 2,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        attenuations: tuple[float, float] = (-3.0, 3.0),
        delays: tuple[float, float] = (-3.0, 3.0),
        bins: tuple[int, int] = (51, 51),
        peak_threshold: float = 0.0,
        peak_distance: tuple[int, int] = (5, 5),
        smoothing: int = 3,
        p: float = 1.0,
        q: float = 0.0,
        as_released: bool = False,
    ) -> None:
        super().__init__(
            num_sources,
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length,
            window=window,
        )
        if not (attenuations[0] < attenuations[1] and delays[0] < delays[1] and min(bins) >= 2):
            raise UsageError("DUET needs ranges from low to high, and at least 2 bins along each")
        if min(peak_distance) < 0 or smoothing < 1 or smoothing % 2 == 0 or not 0 <= peak_threshold <= 1:
            raise UsageError(
                "DUET needs an odd smoothing, a peak_threshold in 0..1, and a peak_distance not below zero"
            )
        self.attenuations = attenuations
        self.delays = delays
        self.bins = bins
        self.peak_threshold = peak_threshold
        self.peak_distance = peak_distance
        self.smoothing = smoothing
        self.p = p
        self.q = q
        self.as_released = as_released

    def spectrum_masks(self, spectrum: Tensor) -> Tensor:
        """Masks `(batch, sources, 1, frequency, frames)` of zeros and ones; see `MaskSeparator`."""
        # In double precision: rounding of a phase must not change a bin of the histogram.
        spectrum = spectrum.to(torch.complex128)
        attenuation, delay, found = self.locate(spectrum)
        scores = self._scores(spectrum, attenuation, delay).masked_fill(~found[..., None, None], torch.inf)
        if self.as_released:
            masks = _overlapping_masks(scores)
        else:
            best = scores.argmin(dim=1, keepdim=True)
            masks = best == torch.arange(scores.shape[1], device=scores.device)[:, None, None]
        return masks[:, :, None].float()

    def locate(self, spectrum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the sources.

        Args:
            spectrum: Complex, in double precision, `(batch, 2, frequency, frames)`.

        Returns:
            Attenuation, delay in samples, and True if found, for each source: `(batch, sources)`.
        """
        rows, columns, found = self._peaks(self.histogram(spectrum))
        places = []
        for index, edges in zip((rows, columns), self._edges(spectrum.device), strict=True):
            places.append(edges[index] if self.as_released else (edges[index] + edges[index + 1]) / 2)
        symmetric, delay = places
        return (symmetric + (symmetric.square() + 4).sqrt()) / 2, delay, found

    def histogram(self, spectrum: Tensor) -> Tensor:
        """Smoothed histogram `(batch, *bins)` of attenuation and delay, relative to the highest bin.

        Args:
            spectrum: Complex, in double precision, `(batch, 2, frequency, frames)`.
        """
        symmetric, delay, weights = self._points(spectrum)
        cells = torch.zeros_like(symmetric, dtype=torch.long)
        for values, edges in zip((symmetric, delay), self._edges(spectrum.device), strict=True):
            bins = torch.bucketize(values.contiguous(), edges, right=True) - 1
            cells = cells * (len(edges) - 1) + bins.clamp(0, len(edges) - 2)
        size = self.bins[0] * self.bins[1]
        sums = weights.new_zeros(len(weights), size).scatter_add_(1, cells.flatten(1), weights.flatten(1))
        sums = sums / sums.amax(dim=1, keepdim=True).clamp(min=torch.finfo(sums.dtype).tiny)
        return self._smooth(rearrange(sums, "b (rows columns) -> b rows columns", rows=self.bins[0]))

    def _edges(self, device: torch.device) -> list[Tensor]:
        """Edges of the bins along attenuation and delay, `(bins + 1,)` each."""
        return [
            torch.arange(count + 1, dtype=torch.float64, device=device) * ((high - low) / count) + low
            for (low, high), count in zip((self.attenuations, self.delays), self.bins, strict=True)
        ]

    def _points(self, spectrum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Symmetric attenuation, delay and weight of each point, `(batch, frequency, frames)`."""
        frequencies = self._frequencies(spectrum)
        weights = spectrum.abs().prod(dim=1) ** self.p
        if self.as_released:
            first, second = (spectrum + _RELEASED_FLOOR).unbind(1)
            ratio = second / first
            attenuation, delay = ratio.abs(), -ratio.angle() / (2 * torch.pi * frequencies)
            symmetric = attenuation - 1 / attenuation
            weights = weights * frequencies**self.q * _within(symmetric, self.attenuations)
            return symmetric, delay, weights * _within(delay, self.delays)
        cues = Cues.of(spectrum, frequencies)
        unambiguous = (frequencies > 0) & (frequencies * max(map(abs, self.delays)) <= torch.pi)
        # The bin at 0 Hz has no weight, and zero has no negative power.
        frequencies = frequencies.clamp(min=frequencies[1])
        weights = weights * frequencies**self.q * unambiguous
        return cues.symmetric_attenuation, cues.delay, weights * _within(cues.delay, self.delays)

    def _smooth(self, histogram: Tensor) -> Tensor:
        if self.smoothing == 1:
            return histogram
        reach = self.smoothing // 2
        padded = pad(histogram[:, None], (reach,) * 4, mode="replicate")
        if self.as_released:
            padded[..., -reach:, :reach] = histogram[:, None, -1:, 1:2]
        return avg_pool2d(padded, self.smoothing, stride=1)[:, 0]

    def _peaks(self, histogram: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows and columns of the highest peaks, and True for real peaks: `(batch, sources)`."""
        heights = histogram - histogram.amin(dim=(1, 2), keepdim=True)
        heights = heights / heights.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(heights.dtype).tiny)
        left = heights.masked_fill(heights < self.peak_threshold, 0)
        reach = self.peak_distance
        if not self.as_released:
            rows_largest = sliding_maximum(heights, 2 * reach[0] + 1, dim=1)
            left = left.masked_fill(heights < sliding_maximum(rows_largest, 2 * reach[1] + 1, dim=2), 0)
        row, column = (torch.arange(count, device=left.device) for count in self.bins)
        picked = []
        for _ in self.sources:
            height, index = left.flatten(1).max(dim=1)
            rows, columns = index // self.bins[1], index % self.bins[1]
            near_rows = (row - rows[:, None]).abs() <= reach[0]
            near_columns = (column - columns[:, None]).abs() <= reach[1]
            left = left.masked_fill(near_rows[:, :, None] & near_columns[:, None, :], 0)
            picked.append((rows, columns, height > 0))
        rows, columns, found = (torch.stack(parts, dim=1) for parts in zip(*picked, strict=True))
        return rows, columns, found

    def _scores(self, spectrum: Tensor, attenuation: Tensor, delay: Tensor) -> Tensor:
        """Squared error of each source alone, the negative log-likelihood, `(batch, sources, f, t)`."""
        first, second = spectrum[:, None].unbind(2)
        attenuation, delay = attenuation[..., None, None], delay[..., None, None]
        phase = -self._frequencies(spectrum) * delay
        expected = torch.polar(attenuation.expand_as(phase), phase)
        return (expected * first - second).abs().square() / (1 + attenuation.square())

    def _frequencies(self, spectrum: Tensor) -> Tensor:
        """Radians a sample, `(frequency, 1)`."""
        frequencies = self.angular_frequencies(spectrum)
        if not self.as_released:
            return frequencies
        return frequencies * (self.sample_rate // 2 * 2 / self.sample_rate) + _RELEASED_FLOOR


def _within(values: Tensor, limits: tuple[float, float]) -> Tensor:
    return (values > limits[0]) & (values < limits[1])


def _overlapping_masks(scores: Tensor) -> Tensor:
    """Masks of nussl: a source gets a point if it beats all sources before, even if a later one beats it."""
    before = scores.cummin(dim=1).values[:, :-1]
    later = scores[:, 1:] < before
    first = later.sum(dim=1, keepdim=True) % 2 == 0
    return torch.cat([first, later], dim=1)
