"""Importer of xumx-sliCQ (github.com/sevagh/xumx-sliCQ), version 1: networks, and what is around them.

Theirs and ours differ in this: each source has networks of its own, which here are one; the masks of a slice
are read half a slice early, and the recurrent networks hear pieces of bins in place of moments
(`as_released`); the synthesis leaves out what bands about 0 Hz and half the sample rate have in their mirror
image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import Autoencoder, BiLSTM, BlockShape, MaskDesign, XumxSliCQ
from soloist.separators import SliCQSeparator, build_separator
from soloist.transforms import SliCQ
from soloist.zoo.importers import ImportedModel
from soloist.zoo.importers.xumx_slicq_steps import STEPS, Config

SOURCES = ("bass", "vocals", "other", "drums")

CARD = {
    "system": "xumx-sliCQ",
    "title": "Songs into four stems, by masks on a sliced constant-Q transform",
    # Of the code; whose weights these are, only the card of a known file can say.
    "licence": {"code": "MIT"},
    "citation": (
        "Sevag Hanssian: Music demixing with the sliCQ transform. Music Demixing Workshop at ISMIR 2021."
    ),
    "notes": (
        "Neither the transform nor the bandwidth nor the sample rate is stored with the weights: they are "
        "taken as published."
    ),
}

# A block of a source: the original's name, and the number of the block.
_NAME = re.compile(r"bucketed_unmixes_(\w+?)\.(\d+)\.(.+)")
_BANDWIDTH = 16000.0

States = Sequence[Mapping[str, Tensor]]
"""Of each source the weights of a block, under the original's names."""


def handles(config: Config) -> bool:
    """Whether a reference vector is of this code base, and more than a loss."""
    return str(config.get("system", "")).startswith("xumx-sliCQ") and (
        config.get("kind") in STEPS or config.get("kind") == "net" or _is_block(config)
    )


def from_reference(config: Config, state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild what a vector records, with the original's axes.

    Kinds: "net" maps magnitudes of blocks `[batch, channels, frequency, slices, coefficients]` to those of
    each source, named `source/block`, for the blocks that have a network; "cdae_block" maps those of one
    block to those of a source. The kinds without weights are in `xumx_slicq_steps`.

    Raises:
        ModelError: The configuration lacks an option, or the weights do not fit it.
    """
    try:
        if config["kind"] in STEPS:
            return STEPS[config["kind"]](config)
        return _block(config, state) if _is_block(config) else _net(config, state)
    except KeyError as error:
        raise ModelError(f"the configuration of {config.get('class')} has no usable {error}") from None


def recognize(state: Mapping[str, Tensor]) -> ImportedModel | None:
    """The separator of a published checkpoint, which has the network of all four sources.

    What no weight tells is taken as published: 262 bins of the Bark scale from 32.9 Hz, 44.1 kHz, and a
    bandwidth of 16 kHz.

    Raises:
        ModelError: The names are this code base's, but the blocks are not those of that transform.
    """
    blocks = _by_block(state)
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
            "32.9 Hz, and which other transform it was trained with is not stored in it"
        )
    _load(separator.network, states)
    parameters = sum(weight.numel() for weight in separator.parameters())
    card = {**CARD, "sources": sources, "sample_rate": separator.sample_rate}
    return ImportedModel(
        separator, config, {**card, "channels": separator.channels, "parameters": parameters}
    )


def _is_block(config: Config) -> bool:
    return str(config.get("kind", "")).endswith("_block")


def _net(config: Config, state: Mapping[str, Tensor]) -> Callable[[Sequence[Tensor]], dict[str, Tensor]]:
    blocks = _by_block(state)
    if not blocks:
        raise ModelError(
            f"the weights are not those of {config['class']}: no bucketed_unmixes_* is among them"
        )
    shapes = [BlockShape(shape[-3], shape[-1]) for shape in config["args"]["jagged_shapes"]]
    # Convolutions in groups are right to 1e-5 only; one source after the other, they are as the original's.
    networks = {
        source: _network(shapes, [[block[source]] for _, block in sorted(blocks.items())], config)
        for source in blocks[0]
    }

    @torch.no_grad()
    def run(magnitudes: Sequence[Tensor]) -> dict[str, Tensor]:
        mixture = [torch.as_tensor(block) for block in magnitudes]
        return {
            f"{source}/{index}": mask[:, 0] * mixture[index]
            for source, network in networks.items()
            for index, mask in enumerate(network(mixture)[: len(network.blocks)])
        }

    return run


def _block(config: Config, state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    shape = config["args"]["slicq_sample_shape"]
    states = [{name: torch.as_tensor(value) for name, value in state.items()}]
    network = _network([BlockShape(shape[-3], shape[-1])], [states], config)

    @torch.no_grad()
    def run(magnitudes: Tensor) -> Tensor:
        block = torch.as_tensor(magnitudes)
        return network([block])[0][:, 0] * block

    return run


def _network(shapes: Sequence[BlockShape], blocks: Sequence[States], config: Config) -> XumxSliCQ:
    """The network of a configuration with the weights of its blocks."""
    states = blocks[0]
    network = XumxSliCQ(
        shapes,
        len(states),
        _channels(states),
        num_bins=None if _is_block(config) else config["args"]["max_bin"],
        design=_design(states),
    ).eval()
    _load(network, blocks)
    return network


def _by_block(state: Mapping[str, Tensor]) -> dict[int, dict[str, dict[str, Tensor]]]:
    """The weights of each block and source, without what is in front of their names."""
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
    """How the networks are made that have these weights."""
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
        network.load_state_dict(weights)
    except KeyError as error:
        raise ModelError(f"the weights of xumx-sliCQ are incomplete: there is no {error}") from None
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights do not fit the xumx-sliCQ of the configuration: {reason}") from None


_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _translate(states: States) -> dict[str, Tensor]:
    """Our names and weights of a block from those of its sources."""
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
    """The weights of the groups of a convolution; what is not an array is common to all."""
    return torch.cat(list(parts)) if parts[0].ndim else parts[0]
