"""Base of the hybrid networks of Demucs: a U-Net on the spectrogram and one on the waveform, which meet.

A. Défossez, "Hybrid spectrogram and waveform source separation", MDX workshop at ISMIR, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.demucs.frequency_bands import BandedDecoder, BandedEncoder
from soloist.networks.demucs.residual_branches import BranchDesign, ResidualBranches
from soloist.networks.demucs.stages import (
    Axis,
    DecoderStage,
    Downsampling,
    EncoderStage,
    Upsampling,
    channels_last,
)
from soloist.networks.layers.initialization import rescale_convolutions
from soloist.networks.layers.onednn import add_into, has_onednn, learns_on_cpu


@dataclass(frozen=True)
class HybridDesign:
    """Sizes of a hybrid network.

    Attributes:
        planes: Planes of the mixture's spectrogram: twice the channels for real and imaginary parts.
        audio_channels: Channels of the mixture.
        num_sources: Sources.
        num_bins: Frequencies of the spectrogram.
        channels: Channels of the first stage.
        time_channels: Channels of the first stage of the waveform; None for `channels`.
        growth: Channels of a stage for each channel of the stage before.
        depth: Number of stages.
        kernel_size: Length of the kernels along frequency, and along the samples of the waveform.
        stride: Stride of these convolutions.
        time_stride: Stride along the frames, once frequency is used up; kernels are twice as long.
        context: Neighbours on either side that the gated convolution of a decoder stage sees.
        encoder_context: The same for an encoder stage.
        rewrite: Add gated convolutions.
        norm_from: Index of the first stage with group norms.
        norm_groups: Groups of the norms.
        branches: Residual branches.
        branches_in_encoder: Add residual branches to the encoder.
        branches_in_decoder: Add residual branches to the decoder.
        bands: Borders of bands with weights of their own, as parts of all frequencies; empty for no bands.
        band_depth: Number of stages with bands.
        embedding: Weight of the learned code of each frequency after the first stage; 0 for no code.
        embedding_scale: Factor of the learned code, which learns as much faster.
        rescale: Standard deviation that convolutions are brought near at the beginning of a training; 0 to
            leave them as PyTorch draws them.
    """

    planes: int = 4
    audio_channels: int = 2
    num_sources: int = 4
    num_bins: int = 2048
    channels: int = 48
    time_channels: int | None = None
    growth: float = 2.0
    depth: int = 4
    kernel_size: int = 8
    stride: int = 4
    time_stride: int = 2
    context: int = 1
    encoder_context: int = 0
    rewrite: bool = True
    norm_from: int = 4
    norm_groups: int = 4
    branches: BranchDesign = field(default_factory=BranchDesign)
    branches_in_encoder: bool = True
    branches_in_decoder: bool = True
    bands: tuple[float, ...] = ()
    band_depth: int = 3
    embedding: float = 0.2
    embedding_scale: float = 10.0
    rescale: float = 0.1


@dataclass(frozen=True)
class Stage:
    """Sizes of one stage of both branches.

    Attributes:
        index: Index from the outermost stage.
        axis: Axis of the spectrogram's convolutions.
        kernel_size: Length of these.
        stride: Stride of these.
        padding: Padding of these.
        inputs: Channels of the spectrogram before the stage.
        outputs: Channels of the spectrogram after the stage.
        time_inputs: Channels of the waveform before the stage.
        time_outputs: Channels of the waveform after the stage.
        merges: True for the stage that leaves one row, which the waveform is added to.
        banded: True for a stage with bands.
    """

    index: int
    axis: Axis
    kernel_size: int
    stride: int
    padding: int
    inputs: int
    outputs: int
    time_inputs: int
    time_outputs: int
    merges: bool
    banded: bool


def plan_stages(design: HybridDesign) -> list[Stage]:
    """Sizes of all stages, the outermost first.

    Raises:
        UsageError: The frequencies are no multiple of a stride, or a banded stage has a norm or merges.
    """
    rows, inputs, time_inputs = design.num_bins, design.planes, design.audio_channels
    outputs, time_outputs = design.channels, design.time_channels or design.channels
    stages = []
    for index in range(design.depth):
        merges = 1 < rows <= design.kernel_size
        axis: Axis = "frequency" if rows > 1 else "time"
        kernel, stride = design.kernel_size, design.stride
        if axis == "time":
            kernel, stride = 2 * design.time_stride, design.time_stride
        elif merges:
            kernel, outputs, time_outputs = rows, *[max(outputs, time_outputs)] * 2
        elif rows % stride:
            raise UsageError(f"{rows} rows of frequency at stage {index} are no multiple of {stride}")
        banded = bool(design.bands) and index < design.band_depth
        if banded and (merges or axis == "time" or index >= design.norm_from):
            raise UsageError(f"stage {index} cannot have bands: it has norms, or frequency is used up")
        padding = 0 if merges else kernel // 4
        sizes = inputs, outputs, time_inputs, time_outputs
        stages.append(Stage(index, axis, kernel, stride, padding, *sizes, merges, banded))
        rows = 1 if merges or axis == "time" else rows // stride
        inputs, time_inputs = outputs, time_outputs
        outputs, time_outputs = int(design.growth * outputs), int(design.growth * time_outputs)
    return stages


class FrequencyCode(nn.Module):
    """Learned code of each row of frequency.

    Args:
        rows: Rows.
        channels: Channels.
        weight: Weight of the code.
        scale: Factor of the learned values.
    """

    def __init__(self, rows: int, channels: int, weight: float, scale: float) -> None:
        super().__init__()
        # Smooth over frequency at the beginning.
        walk = torch.randn(rows, channels).cumsum(dim=0) / torch.arange(1, rows + 1).sqrt()[:, None]
        self.values = nn.Parameter(walk / scale)
        self.factor = weight * scale

    def forward(self, x: Tensor) -> Tensor:
        """Add the code to `(batch, channels, rows, frames)`."""
        return add_into(x, (self.factor * self.values.t()[:, :, None]).to(x.dtype))


class HybridNetwork(nn.Module):
    """Network on a spectrogram and on a waveform at once.

        spectrogram - encoder - encoder -+- ... - decoder - decoder - spectrograms of the sources
        waveform    - encoder - encoder -+- ... - decoder - decoder - waveforms of the sources

    Where frequency is used up, the waveform's branch is added to the spectrogram's, and leaves it again in
    the decoder. Skip connections lead from each encoder stage to its decoder stage.

    Args:
        design: Sizes.

    Raises:
        UsageError: The sizes do not fit together.
    """

    def __init__(self, design: HybridDesign) -> None:
        super().__init__()
        self.design = design
        stages = plan_stages(design)
        hybrid = [stage for stage in stages if stage.axis == "frequency"]
        self.encoders = nn.ModuleList(self._encoder(stage) for stage in stages)
        self.time_encoders = nn.ModuleList(self._time_encoder(stage) for stage in hybrid)
        self.decoders = nn.ModuleList(self._decoder(stage) for stage in reversed(stages))
        self.time_decoders = nn.ModuleList(self._time_decoder(stage) for stage in reversed(hybrid))
        self.merges = hybrid[-1].merges
        # The last layers say what is heard, at hardly any cost.
        self.full_precision = (f"decoders.{len(stages) - 1}.up", f"time_decoders.{len(hybrid) - 1}.up")
        self.frequency_code = None
        if design.embedding:
            rows = 1 if stages[0].merges else design.num_bins // design.stride
            self.frequency_code = FrequencyCode(
                rows, stages[0].outputs, design.embedding, design.embedding_scale
            )
        if design.rescale:
            rescale_convolutions(self, design.rescale)

    def bottleneck(self, x: Tensor, xt: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Input of the decoder from the output of the encoder; None for the skip connections alone.

        Args:
            x: Spectrogram `(batch, channels, frequency, frames)`.
            xt: Waveform `(batch, channels, 1, frames)`.
        """
        return None, None

    def forward(self, spectrogram: Tensor, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate spectrograms and waveforms of the sources, whose sum is the estimate.

        Args:
            spectrogram: Normalised, `(batch, planes, num_bins, frames)`.
            waveform: Normalised, `(batch, audio_channels, samples)`.

        Returns:
            Spectrograms `(batch, sources * planes, num_bins, frames)`, and waveforms
            `(batch, sources, audio_channels, samples)`.
        """
        x, xt = spectrogram, waveform[:, :, None]
        if has_onednn(x) or learns_on_cpu(x):
            x, xt = channels_last(x), channels_last(xt)
        skips: list[tuple[Tensor, int]] = []
        time_skips: list[tuple[Tensor, int]] = []
        for index, encoder in enumerate(self.encoders):
            frames, injected = x.shape[-1], None
            if index < len(self.time_encoders):
                samples = xt.shape[-1]
                xt = self.time_encoders[index](xt)
                time_skips.append((xt, samples))
                injected = xt if self.merges and index == len(self.time_encoders) - 1 else None
            x = encoder(x, injected)
            x = self.frequency_code(x) if index == 0 and self.frequency_code is not None else x
            skips.append((x, frames))
        x, xt = self._decode(*self.bottleneck(x, xt), skips, time_skips)
        return x, xt.unflatten(1, (self.design.num_sources, -1))[:, :, :, 0]

    def _decode(
        self,
        x: Tensor | None,
        xt: Tensor | None,
        skips: list[tuple[Tensor, int]],
        time_skips: list[tuple[Tensor, int]],
    ) -> tuple[Tensor, Tensor]:
        """Outputs of both branches from those of the bottleneck and the skip connections."""
        offset = len(self.decoders) - len(self.time_decoders)
        for index, decoder in enumerate(self.decoders):
            skip, frames = skips.pop()
            x = skip if x is None else add_into(x, skip)
            if index < offset:
                x = decoder(x, frames)
                continue
            skip, samples = time_skips.pop()
            time_decoder = self.time_decoders[index - offset]
            if self.merges and index == offset:
                assert isinstance(decoder, DecoderStage)
                x = decoder.mix(x)
                xt = time_decoder(x, samples)
                x = decoder.up(x, frames)
            else:
                x = decoder(x, frames)
                xt = time_decoder(skip if xt is None else add_into(xt, skip), samples)
        assert x is not None
        assert xt is not None
        return x, xt

    def _groups(self, stage: Stage) -> int | None:
        return self.design.norm_groups if stage.index >= self.design.norm_from else None

    def _branches(self, stage: Stage, channels: int, wanted: bool) -> ResidualBranches | None:
        return self.design.branches.make(channels, stage.index) if wanted else None

    def _encoder(self, stage: Stage) -> nn.Module:
        if not stage.banded:
            return self._encoder_stage(stage, stage.padding)
        bands = [self._encoder_stage(stage, 0) for _ in range(len(self.design.bands) + 1)]
        return BandedEncoder(bands, self.design.bands, stage.padding)

    def _encoder_stage(self, stage: Stage, padding: int) -> EncoderStage:
        design = self.design
        return EncoderStage(
            Downsampling(
                stage.inputs,
                stage.outputs,
                axis=stage.axis,
                kernel_size=stage.kernel_size,
                stride=stage.stride,
                padding=padding,
            ),
            norm_groups=self._groups(stage),
            branches=self._branches(stage, stage.outputs, design.branches_in_encoder),
            rewrite=design.rewrite,
            context=design.encoder_context,
            context_axes="both" if stage.axis == "frequency" else "time",
        )

    def _time_encoder(self, stage: Stage) -> nn.Module:
        design = self.design
        down = Downsampling(
            stage.time_inputs,
            stage.time_outputs,
            axis="time",
            kernel_size=design.kernel_size,
            stride=design.stride,
            padding=design.kernel_size // 4,
        )
        if stage.merges:
            return down
        return EncoderStage(
            down,
            norm_groups=self._groups(stage),
            branches=self._branches(stage, stage.time_outputs, design.branches_in_encoder),
            rewrite=design.rewrite,
            context=design.encoder_context,
            context_axes="time",
        )

    def _decoder(self, stage: Stage) -> nn.Module:
        last = stage.index == 0
        if not stage.banded:
            return self._decoder_stage(stage, stage.padding, not last, "both")
        bands = [self._decoder_stage(stage, 0, False, "time") for _ in range(len(self.design.bands) + 1)]
        return BandedDecoder(bands, self.design.bands, stage.padding, not last)

    def _decoder_stage(
        self, stage: Stage, padding: int, activation: bool, context_axes: Literal["both", "time"]
    ) -> DecoderStage:
        design = self.design
        up = Upsampling(
            stage.outputs,
            stage.inputs if stage.index else design.num_sources * design.planes,
            axis=stage.axis,
            kernel_size=stage.kernel_size,
            stride=stage.stride,
            padding=padding,
            norm_groups=self._groups(stage),
            activation=activation,
        )
        return DecoderStage(
            up,
            norm_groups=self._groups(stage),
            branches=self._branches(stage, stage.outputs, design.branches_in_decoder),
            rewrite=design.rewrite,
            context=design.context,
            context_axes=context_axes if stage.axis == "frequency" else "time",
        )

    def _time_decoder(self, stage: Stage) -> nn.Module:
        design = self.design
        up = Upsampling(
            stage.time_outputs,
            stage.time_inputs if stage.index else design.num_sources * design.audio_channels,
            axis="time",
            kernel_size=design.kernel_size,
            stride=design.stride,
            padding=design.kernel_size // 4,
            norm_groups=self._groups(stage),
            activation=stage.index > 0,
        )
        if stage.merges:
            return up
        return DecoderStage(
            up,
            norm_groups=self._groups(stage),
            branches=self._branches(stage, stage.time_outputs, design.branches_in_decoder),
            rewrite=design.rewrite,
            context=design.context,
            context_axes="time",
        )
