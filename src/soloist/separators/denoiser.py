"""Denoising of recordings of any rate and channel count by a separator of one rate and one channel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, pad

from soloist.audio import StreamResampler, resample_audio
from soloist.errors import UsageError
from soloist.separators.separator import ChunkEdges, Finish, Separator
from soloist.transforms import STFT

NOISE = "noise"

_COHERENCE_FRAMES = 31
"""Frames over which the coherence of the channels is averaged: half a second at 16 kHz."""

_TINY = 1e-12


class Denoiser(Separator):
    """Separates a source, such as speech, from everything else in recordings of any rate and channel count.

        mixture -+- down - separator on each channel - one gain for coherent channels - up - (+) - speech
                 |                                        |                                   |
                 +- above the separator's band ---------- (x) -------------------------------+

    Above the band of the separator, each frame has the gain that the upper half of the band has: neither
    silence nor all of the noise. Channels have one gain in each bin where they are coherent, and their own
    where they are not: a talker in the middle stays there, and two talkers with a microphone each are cleaned
    each by itself. The noise is the rest of the mixture.

    Not differentiable: train the separator.

    Args:
        separator: Separator of one channel, whose first source is the one asked for.
        sample_rate: Rate of the recordings, Hz; None for the separator's.
        channels: Channels of the recordings.
        strength: Level at which the noise stays in the source, dB, 0 or below; None for as little as can be.

    Raises:
        UsageError: The separator has several channels, or the strength is above 0 dB.
    """

    any_rate = True

    def __init__(
        self,
        separator: Separator,
        *,
        sample_rate: int | None = None,
        channels: int = 1,
        strength: float | None = None,
    ) -> None:
        if separator.channels != 1:
            raise UsageError(f"a denoiser needs a separator of one channel, not of {separator.channels}")
        if strength is not None and not strength <= 0:
            raise UsageError(
                f"strength {strength:g} must be the level of the noise that is kept in dB, 0 or below"
            )
        rate = separator.sample_rate if sample_rate is None else sample_rate
        super().__init__(sources=(separator.sources[0], NOISE), sample_rate=rate, channels=channels)
        self.separator = separator
        self.training = separator.training
        self.strength = strength
        window = 2 ** round(math.log2(0.032 * separator.sample_rate))
        self.stft = STFT(window, window // 2, "sqrt_hann", pad_mode="constant")

    @property
    def minimum_length(self) -> int:
        """Samples of the shortest input of the separator."""
        return self._at_own_rate(self.separator.minimum_length)

    @property
    def chunk_length(self) -> int:
        """Samples of the separator's best chunk."""
        return self._at_own_rate(self.separator.chunk_length)

    @property
    def chunk_edges(self) -> ChunkEdges:
        """Chunks as those of the separator."""
        return self.separator.chunk_edges

    @property
    def stride(self) -> int:
        """Common grid of both rates and the separator's stride, samples."""
        divisor = math.gcd(self.sample_rate, self.separator.sample_rate)
        theirs, ours = self.separator.sample_rate // divisor, self.sample_rate // divisor
        return math.lcm(self.separator.stride, theirs) // theirs * ours

    def _at_own_rate(self, samples: int) -> int:
        return StreamResampler.output_length(samples, self.separator.sample_rate, self.sample_rate)

    @property
    def graph(self) -> nn.Module | None:
        """The graph of the separator."""
        return self.separator.graph

    def estimate(self, mixture: Tensor) -> Tensor:
        """Estimate source and noise in a mixture `(batch, channels, samples)`; see `Separator.estimate`."""
        seen = self._at_their_rate(mixture)
        return self._join(mixture, seen, self.separator(seen)[:, :1, 0])

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """The channels at the rate of the separator, staged by it; and a callback for the band above."""
        separator, seen = self.separator, self._at_their_rate(mixture)
        normalized, level = separator.normalize(seen)
        missing = max(0, separator.minimum_length - seen.shape[-1])
        inputs, finish_inner = separator.stage(pad(normalized, (0, missing)))

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            estimates = finish_inner(outputs)[..., : seen.shape[-1]]
            restored = separator.restore_estimates(estimates, seen, level)
            return self._join(mixture, seen, restored[:, :1, 0])

        return inputs, finish

    def _at_their_rate(self, mixture: Tensor) -> Tensor:
        """Each channel of `(batch, channels, samples)` by itself: `(batch * channels, 1, samples)`."""
        channels = rearrange(mixture, "b c t -> (b c) 1 t")
        return _resample(channels, self.sample_rate, self.separator.sample_rate)

    def _join(self, mixture: Tensor, seen: Tensor, source: Tensor) -> Tensor:
        """Estimates at the rate of the mixture.

        Args:
            mixture: `(batch, channels, samples)`.
            seen: The channels of the mixture as the separator sees them, `(batch * channels, 1, samples)`.
            source: Its estimate of the source in them, of the same shape.

        Returns:
            Source and noise, `(batch, 2, channels, samples)`.
        """
        batch, length = mixture.shape[0], seen.shape[-1]
        mixed, estimated = (self.stft(rearrange(x, "(b c) 1 t -> b c t", b=batch)) for x in (seen, source))
        if self.channels > 1:
            estimated = _link(mixed, estimated)
            source = rearrange(self.stft.inverse(estimated, length), "b c t -> (b c) 1 t")
        if self.sample_rate != self.separator.sample_rate:
            back = _resample(torch.cat([seen, source], dim=1), self.separator.sample_rate, self.sample_rate)
            back = rearrange(back[..., : mixture.shape[-1]], "(b c) two t -> two b c t", b=batch)
            above = mixture - back[0]
            estimate = back[1] + above * self._gains(mixed, estimated, mixture.shape[-1])
        else:
            estimate = rearrange(source, "(b c) 1 t -> b c t", b=batch)
        if self.strength is not None:
            estimate = torch.lerp(estimate, mixture, 10 ** (self.strength / 20))
        return torch.stack([estimate, mixture - estimate], dim=1)

    def _gains(self, mixed: Tensor, estimated: Tensor, samples: int) -> Tensor:
        """Gain of the upper half of the band at each sample, `(batch, 1, samples)` in [0, 1]."""
        low, high = mixed.shape[2] // 2, mixed.shape[2] * 9 // 10
        powers = [x[:, :, low:high].abs().square().sum(dim=(1, 2)) for x in (estimated, mixed)]
        gains = (powers[0] / (powers[1] + _TINY)).clamp(max=1).sqrt()
        per_frame = self.stft.hop_length * self.sample_rate / self.separator.sample_rate
        places = torch.arange(samples, device=mixed.device) / per_frame
        before = places.long().clamp(max=gains.shape[-1] - 2)
        return torch.lerp(gains[:, before], gains[:, before + 1], (places - before).float())[:, None]

    def optimize(self) -> Separator:
        """Rewrite the separator for fast inference, in place; see `Separator.optimize`."""
        self.separator.optimize()
        return super().optimize()


def _link(mixed: Tensor, estimated: Tensor) -> Tensor:
    """Give coherent channels one gain in each bin.

    The gain is the one that fits all channels best, by least squares. The coherence of a channel is that with
    the sum of the others.

    Args:
        mixed: Mixture, complex `(batch, channels, frequency, frames)`.
        estimated: Source in each channel, of the same shape.

    Returns:
        Source, of the same shape.
    """
    power = mixed.abs().square()
    gain = (estimated * mixed.conj()).sum(dim=1, keepdim=True) / (power.sum(dim=1, keepdim=True) + _TINY)
    others = mixed.sum(dim=1, keepdim=True) - mixed
    crossed = mixed * others.conj()
    cross = torch.complex(_smooth(crossed.real), _smooth(crossed.imag)).abs().square()
    coherence = cross / (_smooth(power) * _smooth(others.abs().square()) + _TINY)
    return torch.lerp(estimated, gain * mixed, coherence.clamp(max=1).to(mixed.dtype))


def _smooth(values: Tensor) -> Tensor:
    """Mean of `(..., frames)` over neighbouring frames."""
    rows = values.flatten(0, -2)[:, None]
    return avg_pool1d(rows, _COHERENCE_FRAMES, 1, _COHERENCE_FRAMES // 2, count_include_pad=False).view_as(
        values
    )


def _resample(audio: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Resample `(batch, channels, samples)`."""
    if source_rate == target_rate:
        return audio
    rows = audio.detach().flatten(0, 1).float().cpu().numpy()
    resampled = torch.from_numpy(resample_audio(rows, source_rate, target_rate))
    return resampled.unflatten(0, audio.shape[:2]).to(audio)
