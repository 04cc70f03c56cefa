"""Causal separators small enough for an hour of steps, and streams through separators that are no models."""

from __future__ import annotations

import torch
from torch import nn

from soloist.inference import StemSelection, StemStream, StreamSettings
from soloist.inference.engine_selection import EngineSelection
from soloist.inference.loaded_models import LoadedModel
from soloist.networks import SpectralNetwork
from soloist.networks.layers.carry import Carry
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT


class TwoFrames(SpectralNetwork):
    """Mixes the planes of a frame and of the one before."""

    def __init__(self, planes: int, outputs: int) -> None:
        super().__init__()
        self.now = nn.Conv2d(planes, outputs, 1)
        self.before = nn.Conv2d(planes, outputs, 1)

    @property
    def lookahead(self) -> int:
        return 0

    def forward(self, spectrogram):
        return self.step(spectrogram)[0]

    def step(self, frames, state=()):
        carry = Carry(state)
        shifted = carry.prepend(frames.transpose(2, 3), 1).transpose(2, 3)[..., :-1]
        return self.now(frames) + self.before(shifted), carry.state


def two_frames(
    channels=1,
    n_fft=64,
    hop_length=32,
    sample_rate=8000,
    representation="magnitude",
    mode="masking",
    **options,
):
    """A causal separator of two sources, the same at each call."""
    torch.manual_seed(3)
    planes = channels * (2 if representation == "complex" else 1)
    return SpectralSeparator(
        STFT(n_fft, hop_length, **options.pop("stft", {})),
        TwoFrames(planes, 2 * planes),
        sources=["first", "second"],
        sample_rate=sample_rate,
        channels=channels,
        representation=representation,
        mode=mode,
        **options,
    ).eval()


def stem_stream(separator, sample_rate, channels, *, latency=None, engine="torch", **selection):
    """Stream through a separator, as `soloist.stream` begins one through a model."""
    model = LoadedModel("toy", separator, EngineSelection(separator, engine, "cpu"), "")
    return StemStream(
        model, sample_rate, channels, StemSelection(**selection), StreamSettings(), latency=latency
    )
