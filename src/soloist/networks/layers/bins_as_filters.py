"""Adapter from networks on filterbank features to networks on spectrograms."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from soloist.networks.layers.contracts import MaskNetwork, SpectralNetwork


class BinsAsFilters(SpectralNetwork):
    """Mask network on a spectrogram, whose bins stand in for the filters of a filterbank.

    A `SpectralSeparator` with this network and the STFT is the baseline of the TasNet papers. The
    representation of the separator decides the input of the network; its mode decides the use of the output.

    Args:
        network: Mask network with `planes * bins` filters and one output for each source.
    """

    def __init__(self, network: MaskNetwork) -> None:
        super().__init__()
        self.network = network

    @property
    def receptive_field(self) -> int | None:
        """Receptive field of the network, in frames; None if unbounded."""
        return self.network.receptive_field

    @property
    def stride(self) -> int:
        """Shift of the input, in frames, that shifts the output by as many."""
        return self.network.frame_multiple

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate the planes of all sources.

        Args:
            spectrogram: `(batch, planes, bins, frames)`.

        Returns:
            `(batch, sources * planes, bins, frames)`.
        """
        planes, frames = spectrogram.shape[1], spectrogram.shape[-1]
        features = pad(rearrange(spectrogram, "b p f t -> b (p f) t"), (0, -frames % self.stride))
        output = self.network(features)[..., :frames]
        return rearrange(output, "b s (p f) t -> b (s p) f t", p=planes)
