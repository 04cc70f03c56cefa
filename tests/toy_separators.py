"""Separators small enough to reason about, for tests of what is done with separators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from soloist.separators import Separator


class Smoother(Separator):
    """Splits a mixture into a smooth part and the rest by a filter of `reach` samples on either side."""

    def __init__(
        self,
        *,
        reach: int = 7,
        stride: int = 1,
        bias: float = 0.0,
        sample_rate: int = 8000,
        channels: int = 1,
        **kwargs,
    ) -> None:
        super().__init__(sources=("smooth", "rough"), sample_rate=sample_rate, channels=channels, **kwargs)
        self.reach, self.grid, self.bias = reach, stride, bias
        taps = torch.rand(2 * reach + 1, generator=torch.Generator().manual_seed(reach)) + 0.1
        self.register_buffer("taps", (taps / taps.sum()).expand(channels, 1, -1).clone())

    @property
    def receptive_field(self) -> int:
        return self.reach

    @property
    def stride(self) -> int:
        return self.grid

    @property
    def chunk_length(self) -> int:
        return 200

    def estimate(self, mixture: Tensor) -> Tensor:
        smooth = torch.nn.functional.conv1d(
            mixture, self.taps.to(mixture), padding=self.reach, groups=self.channels
        )
        return torch.stack([smooth, mixture - smooth], dim=1) + self.bias


class Swapping(Smoother):
    """A separator whose sources come out in an order of their own in every call, like two talkers."""

    def __init__(self, **kwargs) -> None:
        super().__init__(ordered=False, **kwargs)
        self.calls = 0

    def estimate(self, mixture: Tensor) -> Tensor:
        self.calls += 1
        estimates = super().estimate(mixture)
        return estimates.flip(1) if self.calls % 3 == 0 else estimates


def masking_config(sources: Sequence[str], rate: int, network: str, **arguments: Any) -> dict[str, Any]:
    """Configuration of a small separator of one channel that masks 33 magnitudes.

    Args:
        sources: Names of the sources.
        rate: Sample rate, Hz.
        network: Class path of the network.
        **arguments: Its arguments.
    """
    return {
        "class_path": "soloist.separators.SpectralSeparator",
        "init_args": {
            "sources": list(sources),
            "sample_rate": rate,
            "channels": 1,
            "representation": "magnitude",
            "mode": "masking",
            "transform": {
                "class_path": "soloist.transforms.STFT",
                "init_args": {"n_fft": 64, "hop_length": 32},
            },
            "network": {"class_path": network, "init_args": arguments},
        },
    }
