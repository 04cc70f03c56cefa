"""xumx-sliCQ (github.com/sevagh/xumx-sliCQ), version 1.

The original has networks of its own for each source; here one network has all sources side by side. Switched
on here (`as_released`): masks that are read half a slice early, and recurrent networks that hear pieces of
bins in place of moments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import Autoencoder, BiLSTM, BlockShape, MaskDesign, XumxSliCQ
from soloist.separators import SliCQSeparator, build_separator
from soloist.transforms import SliCQ
from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights

SOURCES = ("bass", "vocals", "other", "drums")

CARD = {
    "system": "xumx-sliCQ",
    "title": "Songs into four stems, by masks on a sliced constant-Q transform",
    # Licence of the code; only the card of a known file can state that of the weights.
    "licence": {"code": "MIT"},
    "citation": (
        "Sevag Hanssian: Music demixing with the sliCQ transform. Music Demixing Workshop at ISMIR 2021."
    ),
    "notes": (
        "Neither the transform nor the bandwidth nor the sample rate is stored with the weights: they are "
        "taken as published."
    ),
}

# Weight of a block of a source: source, number of the block, name.
_NAME = re.compile(r"bucketed_unmixes_(\w+?)\.(\d+)\.(.+)")
_BANDWIDTH = 16000.0

States = Sequence[Mapping[str, Tensor]]
"""Weights of a block for each source, under the original's names."""


class XumxSliCQImporter(Importer):
    """Importer of a checkpoint with the networks of all sources."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Facts that no weight tells are taken as published: 262 bins of the Bark scale from 32.9 Hz, 44.1 kHz,
        and a bandwidth of 16 kHz.

        Raises:
            ModelError: The names are this code base's, but the blocks are not those of that transform.
        """
        blocks = by_block(checkpoint.state)
        if not blocks:
            return None
        try:
            sources = [source for source in SOURCES if source in blocks[0]]
            states = [[blocks[index][source] for source in sources] for index in sorted(blocks)]
            statistics = [block[0]["input_mean"] for block in states]
            config = _separator_config(sources, states[0])
        except KeyError as error:
            raise ModelError(f"the checkpoint of xumx-sliCQ is incomplete: it has no {error}") from None
        separator = build_separator(config, "the configuration of xumx-sliCQ")
        assert isinstance(separator, SliCQSeparator)
        if [len(mean) for mean in statistics] != [shape.bins for shape in separator.network.shapes]:
            raise ModelError(
                f"the {len(statistics)} blocks of the checkpoint are not the first of bark, 262 bins from "
                "32.9 Hz, and the checkpoint does not store another transform"
            )
        _load(separator.network, states)
        parameters = sum(weight.numel() for weight in separator.parameters())
        card = {**CARD, "sources": sources, "sample_rate": separator.sample_rate}
        return ImportedModel(
            separator, config, {**card, "channels": separator.channels, "parameters": parameters}
        )


def make_network(
    shapes: Sequence[BlockShape], blocks: Sequence[States], num_bins: int | None = None
) -> XumxSliCQ:
    """Build a network with the weights of its blocks, in eval mode.

    Args:
        shapes: Shape of each block of the transform.
        blocks: Weights of each block that has a network.
        num_bins: Bins that are masked; all if None.

    Raises:
        ModelError: The weights do not fit.
    """
    states = blocks[0]
    network = XumxSliCQ(shapes, len(states), _channels(states), num_bins=num_bins, design=_design(states))
    _load(network, blocks)
    return network.eval()


def by_block(state: Mapping[str, Tensor]) -> dict[int, dict[str, dict[str, Tensor]]]:
    """Sort weights by block and source, without the prefix of their names."""
    blocks: dict[int, dict[str, dict[str, Tensor]]] = {}
    for name, value in state.items():
        if found := _NAME.fullmatch(name):
            source, index, rest = found.groups()
            blocks.setdefault(int(index), {}).setdefault(source, {})[rest] = torch.as_tensor(value)
    return blocks


def _is_recurrent(states: States) -> bool:
    return "fc2.weight" in states[0]


def _channels(states: States) -> int:
    name = "growth_layer.weight" if _is_recurrent(states) else "cdae.12.weight"
    return states[0][name].shape[0]


def _design(states: States) -> MaskDesign:
    """Design of the networks with these weights."""
    if _is_recurrent(states):
        layers = sum(bool(re.fullmatch(r"lstm\.weight_ih_l\d+", name)) for name in states[0])
        return BiLSTM(layers, as_released=True)
    first, second = (states[0][f"cdae.{place}.weight"].shape[0] for place in (0, 3))
    return Autoencoder((first, second), as_released=True)


def _separator_config(sources: Sequence[str], states: States) -> dict[str, Any]:
    design = _design(states)
    own = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(design).items()}
    return configuration_of(
        SliCQSeparator,
        transform=configuration_of(SliCQ, scale="bark", bins=262, fmin=32.9, sample_rate=44100),
        network=configuration_of(type(design), **own),
        sources=list(sources),
        sample_rate=44100,
        channels=_channels(states),
        bandwidth=_BANDWIDTH,
    )


def _load(network: XumxSliCQ, blocks: Sequence[States]) -> None:
    try:
        weights = {
            f"blocks.{index}.{name}": value
            for index, states in enumerate(blocks)
            for name, value in _translate(states).items()
        }
    except KeyError as error:
        raise ModelError(f"the weights of xumx-sliCQ are incomplete: there is no {error}") from None
    load_weights(network, weights, "the xumx-sliCQ of the configuration")


_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _translate(states: States) -> dict[str, Tensor]:
    """Translate the weights of a block's sources to those of one block."""
    if _is_recurrent(states):
        return _translate_recurrent(states)
    names = {"head.weight": "cdae.12.weight", "head.bias": "cdae.12.bias"}
    for place in range(4):
        names[f"layers.{place}.conv.weight"] = f"cdae.{3 * place}.weight"
        names |= {f"layers.{place}.norm.{part}": f"cdae.{3 * place + 1}.{part}" for part in _NORM}
    weights = {ours: _side_by_side([state[theirs] for state in states]) for ours, theirs in names.items()}
    for part, theirs in (("shift", "input_mean"), ("scale", "input_scale")):
        weights[f"whitening.{part}"] = torch.stack([state[theirs] for state in states])
    return weights


def _translate_recurrent(states: States) -> dict[str, Tensor]:
    weights = {
        f"head.{part}": torch.cat([state[f"growth_layer.{part}"] for state in states])
        for part in ("weight", "bias")
    }
    for place, state in enumerate(states):
        names = {name: name for name in state if name.startswith("lstm.")} | {"linear.weight": "fc2.weight"}
        names |= {f"norm_in.{part}": f"bn1.{part}" for part in _NORM}
        names |= {f"norm_out.{part}": f"bn2.{part}" for part in _NORM}
        weights |= {f"sources.{place}.{ours}": state[theirs] for ours, theirs in names.items()}
    return weights


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Join weights as groups of a convolution; scalars are common to all groups."""
    return torch.cat(list(parts)) if parts[0].ndim else parts[0]
