"""The time-domain Demucs.

A. Défossez, N. Usunier, L. Bottou and F. Bach, "Music source separation in the waveform domain", 2019;
with the residual branches of Hybrid Demucs (2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.networks.demucs.residual_branches import BranchDesign
from soloist.networks.demucs.stages import DecoderStage, Downsampling, EncoderStage, Upsampling, channels_last
from soloist.networks.layers.contracts import WaveformNetwork
from soloist.networks.layers.initialization import rescale_convolutions
from soloist.networks.layers.onednn import has_onednn

_KERNEL, _STRIDE = 8, 4
_ZEROS, _ROLLOFF = 24, 0.945
"""Zero crossings on either side of a resampling filter, and its cut-off in parts of the Nyquist rate."""


class SincResampling(nn.Module):
    """Resampling by a ratio of small integers with windowed sinc filters.

    J. O. Smith, "Digital audio resampling", 2002.

    Args:
        old: Rate of the input, in units of the greatest common divisor.
        new: Rate of the output, in the same units.
    """

    def __init__(self, old: int, new: int) -> None:
        super().__init__()
        self.old, self.new = old, new
        cutoff = _ROLLOFF * min(old, new)
        self.width = math.ceil(_ZEROS * old / cutoff)
        taps = torch.arange(-self.width, self.width + old) / old
        phases = torch.arange(new)[:, None] / new
        times = ((taps - phases) * cutoff).clamp(-_ZEROS, _ZEROS) * math.pi
        filters = torch.sinc(times / math.pi) * (times / (2 * _ZEROS)).cos().square()
        filters = filters / filters.sum(dim=1, keepdim=True)
        self.register_buffer("filters", filters[:, None], persistent=False)

    filters: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Resample `(batch, channels, samples)` to `(batch, channels, samples * new / old)`."""
        channels, samples = x.shape[1:]
        padded = F.pad(x, (self.width, self.width + self.old), mode="replicate")
        phases = F.conv1d(rearrange(padded, "b c t -> (b c) 1 t"), self.filters.to(x.dtype), stride=self.old)
        resampled = rearrange(phases, "(b c) n t -> b c (t n)", c=channels)
        return resampled[..., : samples * self.new // self.old]


@dataclass(frozen=True)
class DemucsDesign:
    """Sizes of a time-domain Demucs.

    Attributes:
        audio_channels: Channels of the mixture.
        num_sources: Sources.
        channels: Channels of the first stage.
        growth: Channels of a stage for each channel of the stage before.
        depth: Number of stages.
        rewrite: Add gated convolutions.
        context: Neighbours on either side that the gated convolution of a decoder stage sees.
        norm_from: Index of the first stage with group norms.
        norm_groups: Groups of the norms.
        branches: Residual branches.
        branches_in_encoder: Add residual branches to the encoder.
        branches_in_decoder: Add residual branches to the decoder.
        resample: Work at twice the sample rate.
        rescale: See `HybridDesign`.
    """

    audio_channels: int = 2
    num_sources: int = 4
    channels: int = 64
    growth: float = 2.0
    depth: int = 6
    rewrite: bool = True
    context: int = 1
    norm_from: int = 4
    norm_groups: int = 4
    branches: BranchDesign = field(default_factory=lambda: BranchDesign(lstm_from=4, attention_from=4))
    branches_in_encoder: bool = True
    branches_in_decoder: bool = False
    resample: bool = True
    rescale: float = 0.1


class Demucs(WaveformNetwork):
    """U-Net on waveforms, with residual branches of dilated convolutions, LSTM and local attention.

    Args:
        design: Sizes.
    """

    def __init__(self, design: DemucsDesign) -> None:
        super().__init__()
        self.design = design
        self.num_sources = design.num_sources
        self.audio_channels = design.audio_channels
        widths = [design.channels]
        while len(widths) < design.depth:
            widths.append(int(design.growth * widths[-1]))
        inputs = [design.audio_channels, *widths[:-1]]
        self.encoders = nn.ModuleList(
            self._encoder(index, *sizes) for index, sizes in enumerate(zip(inputs, widths, strict=True))
        )
        outputs = [design.num_sources * design.audio_channels, *widths[:-1]]
        self.decoders = nn.ModuleList(
            self._decoder(index, widths[index], outputs[index]) for index in reversed(range(design.depth))
        )
        self.upsample = SincResampling(1, 2) if design.resample else nn.Identity()
        self.downsample = SincResampling(2, 1) if design.resample else nn.Identity()
        if design.rescale:
            rescale_convolutions(self, design.rescale)

    def _groups(self, index: int) -> int | None:
        return self.design.norm_groups if index >= self.design.norm_from else None

    def _encoder(self, index: int, inputs: int, outputs: int) -> EncoderStage:
        design = self.design
        return EncoderStage(
            Downsampling(inputs, outputs, axis="time", kernel_size=_KERNEL, stride=_STRIDE, padding=0),
            norm_groups=self._groups(index),
            branches=design.branches.make(outputs, index) if design.branches_in_encoder else None,
            rewrite=design.rewrite,
        )

    def _decoder(self, index: int, inputs: int, outputs: int) -> DecoderStage:
        design = self.design
        up = Upsampling(
            inputs,
            outputs,
            axis="time",
            kernel_size=_KERNEL,
            stride=_STRIDE,
            padding=0,
            norm_groups=self._groups(index) if index else None,
            activation=index > 0,
        )
        return DecoderStage(
            up,
            norm_groups=self._groups(index),
            branches=design.branches.make(inputs, index) if design.branches_in_decoder else None,
            rewrite=design.rewrite,
            context=design.context,
            context_axes="time",
        )

    def valid_length(self, samples: int) -> int:
        """Least length from `samples` up that the strided convolutions divide without rest."""
        length = 2 * samples if self.design.resample else samples
        for _ in range(self.design.depth):
            length = max(1, -(-(length - _KERNEL) // _STRIDE) + 1)
        for _ in range(self.design.depth):
            length = (length - 1) * _STRIDE + _KERNEL
        return -(-length // 2) if self.design.resample else length

    def forward(self, waveform: Tensor) -> Tensor:
        """Separate `(batch, audio_channels, samples)` of a valid length, at unit level.

        Returns:
            `(batch, sources, audio_channels, samples)`.
        """
        x = self.upsample(waveform)[:, :, None]
        x = channels_last(x) if has_onednn(x) else x
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        # The deepest stage is its own skip connection.
        for decoder in self.decoders:
            x = decoder(x + skips.pop())
        separated = self.downsample(x[:, :, 0])
        return rearrange(separated, "b (s c) t -> b s c t", s=self.num_sources)
