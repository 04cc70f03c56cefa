"""One step of a causal separator: the next samples and the memory behind the ones before."""

from __future__ import annotations

from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.estimation.representations import decibels
from soloist.networks import State, Streaming
from soloist.separators.denoiser import Denoiser
from soloist.separators.filterbank_separator import FilterbankSeparator
from soloist.separators.separator import Separator
from soloist.separators.spectral_separator import SpectralSeparator
from soloist.transforms import SpectralTransform, frame_codec, has_frames

_TINY = 1e-11
"""Least weight of overlapping windows, and least magnitude with a phase."""


class FrameStep(nn.Module):
    """Causal separator as a graph from the next samples and the memory to estimates and the next memory.

    Everything is real, and the sizes of the memory are those of a frame and a network: the graph can be
    exported for steps of a multiple of `period` frames.

    Args:
        separator: The separator; see `find_causal`.

    Attributes:
        codec: Analysis and synthesis of a frame.
        period: Frames after which the memory of the network has the same shapes again.
    """

    def __init__(self, separator: FilterbankSeparator | SpectralSeparator) -> None:
        super().__init__()
        self.codec = codec = frame_codec(_transform_of(separator))
        self.network = separator.network
        self.join: nn.Module = (
            _SpectralJoin(separator)
            if isinstance(separator, SpectralSeparator)
            else _FilterbankJoin(separator)
        )
        self.channels, self.sources = separator.channels, len(separator.sources)
        self.period = int(getattr(separator.network, "frame_multiple", 1))
        self._past = -(-codec.frame_length // codec.hop_length) - 1
        self._beyond = -(-codec.synthesis_length // codec.hop_length) - 1

    @property
    def hop_length(self) -> int:
        """Samples of a frame's hop."""
        return self.codec.hop_length

    def latency(self, frames: int) -> int:
        """Most samples that a stream in steps of so many frames is behind its input."""
        codec = self.codec
        ahead = codec.frame_length - codec.lead + codec.synthesis_lead - 1
        return (frames - 1) * codec.hop_length + ahead

    @torch.no_grad()
    def begin(self, before: Tensor) -> State:
        """Memory at the beginning of a stream.

        Args:
            before: The first samples `(streams, channels, frame_length - hop_length)` from the beginning of
                the first frame on, those before the signal included.
        """
        past = pad(before, (self._past * self.hop_length - before.shape[-1], 0))
        streams = before.shape[0]
        tail = before.new_zeros(streams, self.sources * self.channels, self._beyond * self.hop_length)
        memory = (past, tail, tail.new_zeros(1, self._beyond * self.hop_length))
        silence = before.new_zeros(streams, self.channels, self.period * self.hop_length)
        _, *after = self(silence, *memory)
        return (*memory, *(torch.zeros_like(part) for part in after[len(memory) :]))

    def forward(self, samples: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Take a step.

        Args:
            samples: Next samples `(streams, channels, frames * hop_length)`.
            *memory: See `begin`; without the state of the network at the beginning.

        Returns:
            The next finished samples, so many, `(streams, sources, channels, samples)`; and the memory.
        """
        past, tail, weight, *state = memory
        whole = torch.cat([past, samples], dim=-1)
        features = self.codec.analyze(self._cut(whole))
        seen, kept = self.join.represent(features)  # type: ignore[operator]
        assert isinstance(self.network, Streaming)
        output, after = self.network.step(seen, tuple(state))
        frames = self.codec.synthesize(self.join(output, kept))
        audio, tail, weight = self._add(frames, tail, weight)
        estimates = rearrange(audio, "b (s c) t -> b s c t", c=self.channels)
        return estimates, whole[..., samples.shape[-1] :], tail, weight, *after

    def flush(self, memory: State) -> Tensor:
        """The samples that no other frame follows, `(streams, sources, channels, samples)`."""
        _, tail, weight, *_ = memory
        audio = tail if self.codec.weights is None else tail / weight.clamp(min=_TINY)
        return rearrange(audio, "b (s c) t -> b s c t", c=self.channels)

    def _cut(self, whole: Tensor) -> Tensor:
        """Frames `(batch, channels, frame_length, frames)` of the samples of a step and those before."""
        hops = rearrange(whole, "b c (t h) -> b c h t", h=self.hop_length)
        count = hops.shape[-1] - self._past
        frames = torch.cat([hops[..., shift : shift + count] for shift in range(self._past + 1)], dim=2)
        return frames[:, :, frames.shape[2] - self.codec.frame_length :]

    def _add(self, frames: Tensor, tail: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add frames `(batch, outputs, synthesis_length, frames)` to what earlier ones left.

        Returns:
            Finished samples, and what is left of the audio and of the weights.
        """
        done = frames.shape[-1] * self.hop_length
        audio = self._overlap(frames) + pad(tail, (0, done))
        if self.codec.weights is None:
            return audio[..., :done], audio[..., done:], weight
        weights = self.codec.weights[None, None, :, None].expand(1, 1, -1, frames.shape[-1])
        total = self._overlap(weights)[0] + pad(weight, (0, done))
        return audio[..., :done] / total[..., :done].clamp(min=_TINY), audio[..., done:], total[..., done:]

    def _overlap(self, frames: Tensor) -> Tensor:
        """Sum of frames `(batch, outputs, synthesis_length, frames)`, each a hop after the one before."""
        missing = (self._beyond + 1) * self.hop_length - frames.shape[2]
        parts = pad(frames, (0, 0, 0, missing)).split(self.hop_length, dim=2)
        shifted = [pad(part, (shift, self._beyond - shift)) for shift, part in enumerate(parts)]
        return rearrange(torch.stack(shifted).sum(dim=0), "b o h t -> b o (t h)")


class Join(Protocol):
    """Input of a network from the features of frames, and features of the sources from its output."""

    def represent(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Input of the network, and what `__call__` needs of the features."""
        ...

    def __call__(self, output: Tensor, kept: Tensor) -> Tensor:
        """Features of the sources."""
        ...


class _FilterbankJoin(nn.Module):
    def __init__(self, separator: FilterbankSeparator) -> None:
        super().__init__()
        self.masks = separator.mode == "masking"

    def represent(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return features[:, 0], features

    def forward(self, output: Tensor, kept: Tensor) -> Tensor:
        return output * kept if self.masks else output


class _SpectralJoin(nn.Module):
    """The representations and modes of a `SpectralSeparator`, without complex numbers."""

    def __init__(self, separator: SpectralSeparator) -> None:
        super().__init__()
        self.representation, self.mode = separator.representation, separator.mode
        self.by_channel = separator.plane_order == "channels"
        self.channels = separator.channels

    def represent(self, features: Tensor) -> tuple[Tensor, Tensor]:
        real, imaginary = features.chunk(2, dim=1)
        if self.representation == "complex":
            planes = torch.stack([real, imaginary], dim=2).flatten(1, 2) if self.by_channel else features
            return planes, features
        magnitudes = (real.square() + imaginary.square()).sqrt()
        return magnitudes if self.representation == "magnitude" else decibels(magnitudes), features

    def forward(self, output: Tensor, kept: Tensor) -> Tensor:
        real, imaginary = kept.chunk(2, dim=1)
        if self.representation != "complex":
            gains = rearrange(output, "b (s c) f t -> b s c f t", c=self.channels)
            if self.mode == "mapping":
                gains = gains / (real.square() + imaginary.square()).sqrt().clamp(min=_TINY)[:, None]
            return torch.cat([(gains * part[:, None]).flatten(1, 2) for part in (real, imaginary)], dim=1)
        order = "(s c part)" if self.by_channel else "(s part c)"
        left, right = rearrange(output, f"b {order} f t -> part b s c f t", c=self.channels, part=2)
        real, imaginary = real[:, None], imaginary[:, None]
        if self.mode == "masking":
            left, right = left * real, right * imaginary
        elif self.mode == "complex_masking":
            left, right = left * real - right * imaginary, left * imaginary + right * real
        return torch.cat([left.flatten(1, 2), right.flatten(1, 2)], dim=1)


def find_causal(separator: Separator) -> FilterbankSeparator | SpectralSeparator | None:
    """Find the part of a separator that streams run frame by frame; None for one that needs chunks."""
    inner = separator.separator if isinstance(separator, Denoiser) else separator
    if isinstance(inner, FilterbankSeparator | SpectralSeparator) and _can_step(inner):
        return inner
    return None


def _can_step(separator: FilterbankSeparator | SpectralSeparator) -> bool:
    """True if transform and network work frame by frame, and nothing needs the whole recording."""
    causal = isinstance(separator.network, Streaming) and separator.normalization != "chunk"
    if isinstance(separator, SpectralSeparator):
        free = separator.wiener is None and not separator.partitioned and separator.transform.is_complex
    else:
        free = separator.consistency != "magsq"
    return causal and free and has_frames(_transform_of(separator))


def _transform_of(separator: FilterbankSeparator | SpectralSeparator) -> SpectralTransform:
    return separator.transform if isinstance(separator, SpectralSeparator) else separator.filterbank
