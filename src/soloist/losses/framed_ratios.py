"""Ratios of short frames: losses on waveforms from the code of the U-Nets with intermediate blocks.

W. Choi, M. Kim, J. Chung, D. Lee and S. Jung, "Investigating U-Nets with various intermediate blocks for
spectrogram-based singing voice separation", ISMIR 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.losses.loss import SourceLoss

Measure = Literal["distortion", "sdr_like", "sdr", "dsr", "ldsr", "ncs", "nlcs"]

EPS = 1e-8


class FramedLoss(SourceLoss):
    """Mean measure of the overlapping frames of each channel.

    In a frame, the reference `t` is scaled to be nearest to the estimate, and `d` is the remaining
    distortion; `S` and `D` are the energies of `t` and `d`. Ratios are plain numbers, not dB. With a silent
    reference `S` is tiny: "dsr" and "ldsr" then strongly ask for a silent estimate, other measures hardly.

    Args:
        measure: "distortion": `|d|`, summed over the frames. "sdr_like": `D - S`, summed over the frames.
            "sdr": `-S/D`. "dsr": `D/S`. "ldsr": `ln D/S`. "ncs": negative cosine similarity of estimate and
            reference. "nlcs": negative logarithm of one plus the cosine similarity.
        frame_length: Samples of a frame.
        hop_length: Distance of the frames, samples.
        as_released: Follow the released code: one frame fewer if the padding is odd, and "sdr" with the sign
            that makes estimates worse.

    Raises:
        UsageError: The measure is unknown.
    """

    def __init__(
        self,
        measure: Measure = "ldsr",
        frame_length: int = 2048,
        hop_length: int = 1024,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        if measure not in _MEASURES:
            raise UsageError(f"measure must be one of {', '.join(_MEASURES)}, not {measure!r}")
        self.measure: Measure = measure
        self.frame_length = frame_length
        self.hop_length = hop_length
        self.as_released = as_released

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Measure for signals `(batch, sources, channels, samples)`: `(batch, sources)`."""
        values = _MEASURES[self.measure](_Frames.of(self._cut(estimates), self._cut(references)))
        if self.measure in ("distortion", "sdr_like"):
            return values.sum(dim=-1).mean(dim=-1)
        loss = values.mean(dim=(-2, -1))
        return -loss if self.as_released and self.measure == "sdr" else loss

    def _cut(self, signals: Tensor) -> Tensor:
        """Cut `(..., samples)` into frames `(..., frames, frame_length)`, with zeros around the ends."""
        samples = signals.shape[-1]
        missing = samples // self.hop_length * self.hop_length + self.frame_length - samples
        left = missing // 2
        right = left if self.as_released else missing - left
        return F.pad(signals, (left, right)).unfold(-1, self.frame_length, self.hop_length)


class _Frames(NamedTuple):
    """Energies of scaled reference and distortion, and cosine similarity, each `(..., frames)`."""

    signal: Tensor
    distortion: Tensor
    cosine: Tensor

    @classmethod
    def of(cls, estimates: Tensor, references: Tensor) -> _Frames:
        product = torch.sum(estimates * references, dim=-1) + EPS
        scale = product / (references.square().sum(dim=-1) + EPS)
        targets = scale[..., None] * references
        return cls(
            targets.square().sum(dim=-1) + EPS,
            (estimates - targets).square().sum(dim=-1) + EPS,
            F.cosine_similarity(estimates, references, dim=-1),
        )


_MEASURES: dict[str, Callable[[_Frames], Tensor]] = {
    "distortion": lambda frames: frames.distortion.sqrt(),
    "sdr_like": lambda frames: frames.distortion - frames.signal,
    "sdr": lambda frames: -frames.signal / frames.distortion,
    "dsr": lambda frames: frames.distortion / frames.signal,
    "ldsr": lambda frames: frames.distortion.log() - frames.signal.log(),
    "ncs": lambda frames: -frames.cosine,
    "nlcs": lambda frames: -torch.log(frames.cosine + 1 + EPS),
}
