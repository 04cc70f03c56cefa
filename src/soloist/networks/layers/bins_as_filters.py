"""Networks for the features of a filterbank, on the bins of a transform."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from soloist.networks.layers.contracts import MaskNetwork, SpectralNetwork


class BinsAsFilters(SpectralNetwork):
    """Lets a network take the bins of a spectrogram for the filters of a filterbank.

    With the STFT in the place of the learned filterbank, a `SpectralSeparator` so becomes the baseline of the
    TasNet papers: its representation and its mode say what the network sees and what its output is for.

    Args:
        network: Made for as many filters as the spectrogram has planes times bins, and for as many outputs as
            there are sources.
    """

    def __init__(self, network: MaskNetwork) -> None:
        super().__init__()
        self.network = network

    @property
    def receptive_field(self) -> int | None:
        """That of the network."""
        return self.network.receptive_field

    @property
    def stride(self) -> int:
        """Frames that the network takes together."""
        return self.network.frame_multiple

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Planes of all sources `(batch, sources * planes, bins, frames)`.

        Args:
            spectrogram: `(batch, planes, bins, frames)`.
        """
        planes, frames = spectrogram.shape[1], spectrogram.shape[-1]
        features = pad(rearrange(spectrogram, "b p f t -> b (p f) t"), (0, -frames % self.stride))
        output = self.network(features)[..., :frames]
        return rearrange(output, "b s (p f) t -> b (s p) f t", p=planes)
