"""Open-Unmix and X-UMX: masks from magnitudes, by dense layers around an LSTM for each source.

    magnitudes - encoder -+- LSTM -(concatenate)- decoder - mask
                          +-------------^

X-UMX averages the features of all sources, before and after the LSTMs.

[1] F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji, "Open-Unmix - A reference implementation for music
    source separation", Journal of Open Source Software 4(41), 2019.
[2] R. Sawata, S. Uhlich, S. Takahashi and Y. Mitsufuji, "All for one and one for all: Improving music
    separation by bridging networks", ICASSP 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import Whitening, batch_norm_affine
from soloist.networks.layers.onednn import project


class OpenUnmix(SpectralNetwork):
    """Masks of several sources, by a separate network for each [1].

    Input: magnitudes up to a bandwidth, normalised by the mean and the deviation of each bin. Output: masks
    from 0 up for all bins.

    Args:
        num_sources: Number of sources.
        channels: Channels of the mixture and of each source.
        num_bins: Frequencies of the spectrogram.
        num_input_bins: Frequencies of the input, from 0 Hz up. If None, all.
        hidden_size: Features of a frame, an even number.
        layers: Layers of the LSTM.
        dropout: Dropout probability between the layers of the LSTM.
        bidirectional: Run in both directions of time, with half the features for each.

    Raises:
        UsageError: `num_input_bins` exceeds `num_bins`, or `hidden_size` is odd.
    """

    source_lists: ClassVar[tuple[str, ...]] = ("encoders", "lstms", "decoders")

    def __init__(
        self,
        num_sources: int = 4,
        channels: int = 2,
        *,
        num_bins: int = 2049,
        num_input_bins: int | None = 1487,
        hidden_size: int = 512,
        layers: int = 3,
        dropout: float = 0.4,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        seen = num_bins if num_input_bins is None else num_input_bins
        if not 0 < seen <= num_bins:
            raise UsageError(f"num_input_bins {seen} must lie in 1..{num_bins} (num_bins)")
        if hidden_size < 1 or (bidirectional and hidden_size % 2):
            raise UsageError(f"hidden_size must be even, half for each direction, not {hidden_size}")
        self.num_bins = num_bins
        self.num_input_bins = seen
        self.causal = not bidirectional
        self.encoders = nn.ModuleList(UnmixEncoder(channels, seen, hidden_size) for _ in range(num_sources))
        self.lstms = nn.ModuleList(
            nn.LSTM(
                hidden_size,
                hidden_size // (1 + bidirectional),
                num_layers=layers,
                bidirectional=bidirectional,
                dropout=dropout if layers > 1 else 0.0,
            )
            for _ in range(num_sources)
        )
        self.decoders = nn.ModuleList(
            UnmixDecoder(hidden_size, channels, num_bins) for _ in range(num_sources)
        )

    @property
    def lookahead(self) -> int | None:
        """Frames of look-ahead: 0 for LSTMs of one direction; None (unbounded) for two."""
        return 0 if self.causal else None

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate masks from magnitudes `(batch, channels, num_bins, frames)`.

        Returns:
            `(batch, sources * channels, num_bins, frames)`, the first source first.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        if spectrogram.shape[-2] != self.num_bins:
            raise UsageError(
                f"the network is made for {self.num_bins} bins and was given {spectrogram.shape[-2]}"
            )
        encoded = [encoder(spectrogram[:, :, : self.num_input_bins]) for encoder in self.encoders]
        features = [
            torch.cat([skipped, lstm(entering)[0]], dim=-1)
            for skipped, entering, lstm in zip(encoded, self.exchange(encoded), self.lstms, strict=True)
        ]
        masks = [decoder(x) for decoder, x in zip(self.decoders, self.exchange(features), strict=True)]
        # The bins of a frame stay neighbours in memory, as the transform has them.
        return torch.cat([rearrange(mask, "t b c f -> b c t f") for mask in masks], dim=1).mT

    def exchange(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """Exchange features `(frames, batch, features)` between the sources: none in Open-Unmix."""
        return features

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Initialise with the mean and the standard deviation of each bin's magnitudes, `(num_bins,)`."""
        for module in self.modules():
            if isinstance(module, Whitening):
                module.set_statistics(mean[: self.num_input_bins], deviation[: self.num_input_bins])


class CrossNetOpenUnmix(OpenUnmix):
    """X-UMX: an Open-Unmix that averages the features of all sources before and after the LSTMs [2]."""

    def exchange(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """Give each source the mean features `(frames, batch, features)` of all."""
        return [torch.stack(tuple(features)).mean(dim=0)] * len(features)


class DenseNorm(nn.Module):
    """Linear layer without bias, and BatchNorm, on `(frames, batch, features)`.

    Args:
        inputs: Input features.
        outputs: Output features.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(frames, batch, inputs)` to `(frames, batch, outputs)`."""
        mapped = project(x.flatten(0, 1), self.linear.weight, self.linear.bias)
        return self.norm(mapped).unflatten(0, x.shape[:2])

    def fold(
        self, before: tuple[Tensor, Tensor] | None = None, after: tuple[Tensor, Tensor] | None = None
    ) -> None:
        """Become one linear layer, with the norm (in evaluation mode) and neighbouring affine maps folded in.

        Args:
            before: Gain and shift of the input, `(inputs,)`.
            after: Gain and shift of the output, `(outputs,)`.
        """
        assert isinstance(self.norm, nn.BatchNorm1d)
        gain, bias = batch_norm_affine(self.norm)
        weight = self.linear.weight.detach() * gain[:, None]
        if before is not None:
            weight, bias = weight * before[0], bias + weight @ before[1]
        if after is not None:
            weight, bias = weight * after[0][:, None], bias * after[0] + after[1]
        self.linear.weight = nn.Parameter(weight, requires_grad=False)
        self.linear.bias = nn.Parameter(bias, requires_grad=False)
        self.norm = nn.Identity()


class UnmixEncoder(nn.Module):
    """Encoder from the magnitudes of a frame to features in [-1, 1].

    Args:
        channels: Channels of the mixture.
        num_bins: Frequencies of the input.
        hidden_size: Output features.
    """

    def __init__(self, channels: int, num_bins: int, hidden_size: int) -> None:
        super().__init__()
        self.channels = channels
        self.whitening: nn.Module = Whitening(1, num_bins)
        self.dense = DenseNorm(channels * num_bins, hidden_size)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Map `(batch, channels, bins, frames)` to `(frames, batch, hidden_size)`."""
        return torch.tanh(self.dense(rearrange(self.whitening(magnitudes), "b c f t -> t b (c f)")))

    def optimize(self) -> None:
        """Fold the whitening and the norm into the linear layer."""
        assert isinstance(self.whitening, Whitening)
        shift, scale = (
            values.detach()[0].repeat(self.channels)
            for values in (self.whitening.shift, self.whitening.scale)
        )
        self.dense.fold(before=(scale, scale * shift))
        self.whitening = nn.Identity()


class UnmixDecoder(nn.Module):
    """Decoder from the features of a frame to its mask.

    Args:
        hidden_size: Hidden features; the input has twice as many, of the encoder and of the LSTM.
        channels: Channels of the source.
        num_bins: Frequencies of the mask.
    """

    def __init__(self, hidden_size: int, channels: int, num_bins: int) -> None:
        super().__init__()
        self.channels = channels
        self.dense = DenseNorm(2 * hidden_size, hidden_size)
        self.head = DenseNorm(hidden_size, channels * num_bins)
        self.scale = nn.Parameter(torch.ones(num_bins))
        self.shift = nn.Parameter(torch.ones(num_bins))
        self.folded = False

    def forward(self, features: Tensor) -> Tensor:
        """Map `(frames, batch, 2 * hidden_size)` to a mask `(frames, batch, channels, bins)`."""
        x = self.head(torch.relu(self.dense(features)))
        x = rearrange(x, "t b (c f) -> t b c f", c=self.channels)
        return torch.relu(x if self.folded else x * self.scale + self.shift)

    def optimize(self) -> None:
        """Fold the norms and the scale of the mask into the linear layers."""
        self.dense.fold()
        self.head.fold(
            after=(self.scale.detach().repeat(self.channels), self.shift.detach().repeat(self.channels))
        )
        self.folded = True
