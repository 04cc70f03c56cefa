"""Stages of Hybrid Demucs with weights of their own for each band of frequencies.

The seams of the bands are those of one convolution over all rows: neighbouring bands overlap in the
encoder, and the ends of their results are added up in the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.networks.demucs.stages import DecoderStage, EncoderStage


def split_rows(rows: int, ratios: Sequence[float]) -> list[int]:
    """First rows of the bands and the end of the last one, for borders at parts of all rows."""
    return [0, *(round(rows * ratio) for ratio in ratios), rows]


class BandedEncoder(nn.Module):
    """Encoder stage with weights for each band.

    Args:
        bands: A stage without padding for each band, from below.
        ratios: Borders of the bands, as parts of all frequencies.
        padding: Rows of zeros beyond the lowest and the highest frequency.
    """

    def __init__(self, bands: Sequence[EncoderStage], ratios: Sequence[float], padding: int) -> None:
        super().__init__()
        self.bands = nn.ModuleList(bands)
        self.ratios = tuple(ratios)
        self.padding = padding
        self.kernel_size = bands[0].down.conv.kernel_size[0]
        self.stride = bands[0].down.conv.stride[0]

    def forward(self, x: Tensor, injected: Tensor | None = None) -> Tensor:
        """Encode `(batch, inputs, frequency, frames)`; nothing can be injected."""
        assert injected is None
        borders = split_rows(x.shape[2], self.ratios)[1:]
        padded = F.pad(x, (0, 0, self.padding, self.padding))
        outputs = []
        start = 0
        for band, border in zip(self.bands, borders, strict=True):
            part = padded[:, :, start:]
            if band is not self.bands[-1]:
                steps = round((border + self.padding - start - self.kernel_size) / self.stride)
                part = part[:, :, : steps * self.stride + self.kernel_size]
                start += (steps + 1) * self.stride
            outputs.append(band(part))
        return torch.cat(outputs, dim=2)


class BandedDecoder(nn.Module):
    """Decoder stage with weights for each band.

    Args:
        bands: A stage without margins, norms and last activation for each band, from below.
        ratios: Borders of the bands, as parts of all frequencies.
        padding: Rows to remove below and above.
        activation: Apply a GELU.
    """

    def __init__(
        self, bands: Sequence[DecoderStage], ratios: Sequence[float], padding: int, activation: bool
    ) -> None:
        super().__init__()
        self.bands = nn.ModuleList(bands)
        self.ratios = tuple(ratios)
        self.padding = padding
        self.activation = activation
        conv = bands[0].up.conv
        self.overlap = conv.kernel_size[0] - conv.stride[0]

    def forward(self, x: Tensor, length: int | None = None) -> Tensor:
        """Decode `(batch, channels, frequency, frames)`, whose frames stay."""
        borders = split_rows(x.shape[2], self.ratios)
        outputs: list[Tensor] = []
        for band, (first, last) in zip(self.bands, pairwise(borders), strict=True):
            assert isinstance(band, DecoderStage)
            part = band(x[:, :, first:last])
            if outputs:
                below = outputs.pop()
                # The bias of the seam is that of the lower band alone.
                seam = part[:, :, : self.overlap] - _bias(band)
                outputs += [below[:, :, : -self.overlap], below[:, :, -self.overlap :] + seam]
                part = part[:, :, self.overlap :]
            outputs.append(part)
        whole = torch.cat(outputs, dim=2)
        whole = whole[:, :, self.padding : whole.shape[2] - self.padding]
        return F.gelu(whole) if self.activation else whole


def _bias(stage: DecoderStage) -> Tensor:
    """Bias of the up-sampling, `(channels, 1, 1)`."""
    bias = stage.up.conv.bias
    assert bias is not None
    return bias[:, None, None]
