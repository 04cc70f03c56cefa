"""Bands of a spectrogram: features of each to a token, and tokens to masks.

Bands of one width share one product. Where caches are small, the masks of one band are made after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import glu, normalize

from soloist.networks.layers.onednn import has_onednn, project
from soloist.networks.layers.token_gradients import permute

_FRAMES = 256
"""Frames whose masks are made at once without gradients."""

_FEW_FRAMES = 32
"""Frames that are split into bands at once on a processor: what they need stays in its caches."""


class BandLinear(nn.Module):
    """A linear layer of its own for each of several bands of one width.

    Args:
        bands: Number of bands.
        inputs: Features of a band.
        outputs: Features of its result.
    """

    def __init__(self, bands: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(bands, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(bands, outputs))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(bands, tokens, inputs)` to `(bands, tokens, outputs)`."""
        return torch.baddbmm(self.bias[:, None], x, self.weight)

    def map_band(self, x: Tensor, place: int) -> Tensor:
        """Map `(..., inputs)` of one band to `(..., outputs)`.

        Args:
            x: Features of the band.
            place: Index of the band among those of the layer.
        """
        return project(x, self.weight[place].mT, self.bias[place])


class Bands(nn.Module):
    """Bands by their widths; those of one width form a group.

    Args:
        widths: Features of each band.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.groups = {
            width: [band for band, each in enumerate(widths) if each == width] for width in sorted({*widths})
        }
        self.starts = [0, *accumulate(widths)]
        columns = [
            start
            for width, bands in self.groups.items()
            for band in bands
            for start in range(self.starts[band], self.starts[band] + width)
        ]
        order = [band for bands in self.groups.values() for band in bands]
        self.is_sorted = order == sorted(order)
        for name, places in (("columns", torch.tensor(columns)), ("order", torch.tensor(order))):
            self.register_buffer(name, places, persistent=False)
            self.register_buffer(f"{name}_back", places.argsort(), persistent=False)

    columns: Tensor
    columns_back: Tensor
    order: Tensor
    order_back: Tensor

    @property
    def sizes(self) -> list[int]:
        """Features of each group."""
        return [width * len(bands) for width, bands in self.groups.items()]

    def group(self, x: Tensor, dim: int) -> list[Tensor]:
        """Split a tensor into groups of bands along an axis, which has a place for each band."""
        grouped = x if self.is_sorted else permute(x, self.order, self.order_back, dim)
        return list(grouped.split([len(bands) for bands in self.groups.values()], dim))

    def join(self, groups: Sequence[Tensor], dim: int) -> Tensor:
        """Undo `group`."""
        joined = torch.cat(list(groups), dim=dim)
        return joined if self.is_sorted else permute(joined, self.order_back, self.order, dim)

    def join_features(self, groups: Sequence[Tensor]) -> Tensor:
        """Join features `(..., bands of a group x width)` of all groups, band after band."""
        joined = torch.cat(list(groups), dim=-1)
        return joined if self.is_sorted else permute(joined, self.columns_back, self.columns, -1)


class BandSplit(nn.Module):
    """Map the features of each band to a token: normalise them, then a linear layer.

    Args:
        widths: Features of each band.
        dim: Features of a token.
    """

    def __init__(self, widths: Sequence[int], dim: int) -> None:
        super().__init__()
        self.bands, self.dim = Bands(widths), dim
        groups = self.bands.groups.items()
        self.gains = nn.ParameterList(torch.ones(len(bands), width) for width, bands in groups)
        self.linears = nn.ModuleList(BandLinear(len(bands), width, dim) for width, bands in groups)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(batch, frames, features)`, band after band, to `(batch, frames, bands, dim)`."""
        if not has_onednn(features):
            return self._map(features)
        tokens = features.new_empty(*features.shape[:2], len(self.bands.widths), self.dim)
        for part, those in zip(features.split(_FEW_FRAMES, 1), tokens.split(_FEW_FRAMES, 1), strict=True):
            those.copy_(self._map(part))
        return tokens

    def _map(self, features: Tensor) -> Tensor:
        batch, tokens = features.shape[0], []
        parts = features.index_select(-1, self.bands.columns).split(self.bands.sizes, dim=-1)
        for part, gain, linear in zip(parts, self.gains, self.linears, strict=True):
            width = gain.shape[1]
            inputs = rearrange(part, "b t (k w) -> k (b t) w", w=width)
            scaled = normalize(inputs, dim=-1) * (gain * width**0.5)[:, None]
            tokens.append(rearrange(linear(scaled), "k (b t) d -> b t k d", b=batch))
        return self.bands.join(tokens, dim=2)


class MaskEstimator(nn.Module):
    """Map the token of each band to masks of its features: linear layers with tanh between, and a gate.

    Args:
        widths: Features of each band.
        dim: Features of a token.
        hidden: Features between the layers.
        layers: Number of linear layers.
    """

    def __init__(self, widths: Sequence[int], dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.bands = Bands(widths)
        inputs = [dim, *[hidden] * (layers - 1)]
        self.hidden = nn.ModuleList(BandLinear(len(widths), size, hidden) for size in inputs[:-1])
        self.linears = nn.ModuleList(
            BandLinear(len(bands), inputs[-1], 2 * width) for width, bands in self.bands.groups.items()
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(batch, frames, bands, dim)` to masks `(batch, frames, features)`, band after band."""
        if has_onednn(tokens):
            return self._map_each(tokens)
        parts = [tokens] if torch.is_grad_enabled() else tokens.split(_FRAMES, dim=1)
        return torch.cat([self._map(part) for part in parts], dim=1)

    def _map(self, tokens: Tensor) -> Tensor:
        x = rearrange(tokens, "b t k d -> k (b t) d")
        for layer in self.hidden:
            x = layer(x).tanh()
        masks = []
        for inputs, linear in zip(self.bands.group(x, 0), self.linears, strict=True):
            mask = glu(linear(inputs), dim=-1)
            masks.append(rearrange(mask, "k (b t) w -> b t (k w)", b=tokens.shape[0]))
        return self.bands.join_features(masks)

    def _map_each(self, tokens: Tensor) -> Tensor:
        """Make the masks of one band after the other, which stay in the caches of a processor."""
        masks = tokens.new_empty(*tokens.shape[:2], self.bands.starts[-1])
        hidden = [cast(BandLinear, layer) for layer in self.hidden]
        for (width, bands), layer in zip(self.bands.groups.items(), self.linears, strict=True):
            last = cast(BandLinear, layer)
            for place, band in enumerate(bands):
                x = tokens[:, :, band]
                for wide in hidden:
                    x = wide.map_band(x, band).tanh_()
                start = self.bands.starts[band]
                masks[..., start : start + width] = glu(last.map_band(x, place), dim=-1)
        return masks
