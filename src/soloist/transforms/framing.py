"""Frames of the waveform as features."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.transforms.learned_filterbank import Filterbank, overlap_add


class Framing(Filterbank):
    """Overlapping frames of one channel as they are, and their sum.

    Frame `t` ends with sample `(t + 1) * hop_length - 1`; zeros lie before and behind the signal. Each sample
    lies in as many frames, and the sum is so many times the sample: networks learn to divide.

    Args:
        frame_length: Samples of a frame.
        hop_length: Distance of the frames, samples; a divisor of the frame's length.
        num_sources: Number of synthesised sources.

    Raises:
        UsageError: Hops do not divide the frame.
    """

    def __init__(self, frame_length: int = 512, hop_length: int = 128, num_sources: int = 1) -> None:
        super().__init__()
        if not 0 < hop_length <= frame_length or frame_length % hop_length:
            raise UsageError(f"hop_length {hop_length} must be a divisor of frame_length {frame_length}")
        self.frame_length = frame_length
        self.hop_length = hop_length
        self.num_outputs = num_sources

    @property
    def num_bins(self) -> int:
        """Samples of a frame."""
        return self.frame_length

    @property
    def reach(self) -> int:
        """Samples on either side that analysis and synthesis can depend on."""
        return self.frame_length - 1

    def length_of(self, frames: int) -> int:
        """Longest signal, in samples, with at most `frames` frames."""
        return max(1, self.hop_length * (frames + 1) - self.frame_length)

    def forward(self, audio: Tensor) -> Tensor:
        """Cut audio `(batch, 1, samples)` into frames `(batch, 1, frame_length, frames)`."""
        around = self.frame_length - self.hop_length
        padded = pad(audio, (around, around + -audio.shape[-1] % self.hop_length))
        return padded.unfold(-1, self.frame_length, self.hop_length).transpose(-1, -2)

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Add frames `(batch, outputs, frame_length, frames)` up to `(batch, outputs, length)`."""
        around = self.frame_length - self.hop_length
        return overlap_add(coefficients, self.hop_length)[..., around : around + length]
