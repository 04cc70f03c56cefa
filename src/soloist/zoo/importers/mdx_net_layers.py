"""Layers of an MDX-Net in their order, from an ONNX graph or from a state dict of the training.

A graph is read in the order of its nodes, because exporters fold norms into convolutions and rename weights.
The original's feature maps are `(batch, channels, frames, frequency)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from soloist.errors import ModelError

SYSTEM = "MDX-Net"


@dataclass
class NetworkLayout:
    """Sizes and weights of a network, under Soloist's names.

    Attributes:
        sizes: Arguments of `ConvTDFNet`, but for the bins of the spectrogram.
        weights: State dict of the network.
    """

    sizes: dict[str, Any]
    weights: dict[str, Tensor]


@dataclass
class _Layer:
    """A convolution or fully connected layer, with what follows up to its activation.

    Attributes:
        kind: "conv", "down", "up" or "linear".
        weights: Weights under the names of `ConvNorm` and `BandLayer`, but for the prefix.
        groups: Groups of a group norm; None for BatchNorm.
        active: True if an activation follows.
    """

    kind: str
    weights: dict[str, Tensor]
    groups: int | None = None
    active: bool = False


@dataclass
class _Block:
    convolutions: list[_Layer] = field(default_factory=list)
    linears: list[_Layer] = field(default_factory=list)
    joined: bool = False


def read_graph(graph: Mapping[str, Any], weights: Mapping[str, Tensor]) -> NetworkLayout:
    """Read the layers of an ONNX graph.

    Args:
        graph: Facts of `read_onnx`.
        weights: Weights of the graph, by their names.

    Raises:
        ModelError: The graph is not that of an MDX-Net.
    """
    shape = graph["input"]
    if [_axes(node) for node in graph["nodes"] if node["op"] == "Transpose"] != [[0, 1, 3, 2]] * 2:
        raise ModelError(f"this ONNX file is no {SYSTEM}: its features are not turned after the first layer")
    layout = _assemble(_layers(graph["nodes"], weights))
    return NetworkLayout({**layout.sizes, "num_input_bins": shape[2]}, layout.weights)


def _axes(node: Mapping[str, Any]) -> Any:
    return node["attributes"].get("perm")


_IGNORED = {"Constant", "Reshape", "Shape", "Identity", "Transpose"}


def _layers(nodes: Iterable[Mapping[str, Any]], weights: Mapping[str, Tensor]) -> list[_Layer | str]:
    """Layers of a graph, and "join" and "skip" for sums and products of features."""
    layers: list[_Layer | str] = []
    for node in nodes:
        op, fixed = node["op"], [weights[name] for name in node["inputs"] if name in weights]
        last = layers[-1] if layers and isinstance(layers[-1], _Layer) else None
        if op in _IGNORED:
            continue
        if op in ("Conv", "ConvTranspose", "MatMul") and fixed:
            layers.append(_new_layer(op, fixed))
        elif op in ("Add", "Mul") and not fixed:
            layers.append("join" if op == "Add" else "skip")
        elif last is not None and _continue(last, op, fixed):
            continue
        else:
            raise ModelError(f"this ONNX file is no {SYSTEM}: it has a node {op} where none belongs")
    return layers


def _new_layer(op: str, fixed: list[Tensor]) -> _Layer:
    if op == "MatMul":
        return _Layer("linear", {"linear.weight": fixed[0].T})
    weight = fixed[0].transpose(-1, -2)
    kind = "up" if op == "ConvTranspose" else "down" if weight.shape[-1] == 2 else "conv"
    outputs = weight.shape[1 if op == "ConvTranspose" else 0]
    bias = fixed[1] if len(fixed) > 1 else weight.new_zeros(outputs)
    return _Layer(kind, {"conv.weight": weight, "conv.bias": bias})


def _continue(layer: _Layer, op: str, fixed: list[Tensor]) -> bool:
    """Add a node with weights, or an activation, to the layer before; False if it does not belong there."""
    weights = layer.weights
    if op == "Relu":
        layer.active = True
    elif op == "BatchNormalization":
        names = ("weight", "bias", "running_mean", "running_var")
        weights.update({f"norm.{name}": value for name, value in zip(names, fixed, strict=True)})
    elif op == "InstanceNormalization":
        layer.groups = fixed[0].numel()
    elif op == "Mul" and layer.groups:
        weights["norm.weight"] = fixed[0].flatten()
    elif op == "Add" and layer.groups:
        weights["norm.bias"] = fixed[0].flatten()
    elif op == "Add" and layer.kind == "linear":
        weights["linear.bias"] = fixed[0]
    else:
        return False
    return True


def _assemble(layers: list[_Layer | str]) -> NetworkLayout:
    """Put the layers of a U-Net together, and check that they are one."""
    downs: list[_Layer] = []
    ups: list[_Layer] = []
    blocks = [_Block()]
    entry, *inner, leave = layers if len(layers) > 2 else ["join"] * 3
    skips = 0
    for layer in inner:
        block = blocks[-1]
        if isinstance(layer, str):
            block.joined |= layer == "join"
            skips += layer == "skip"
        elif layer.kind in ("down", "up"):
            (downs if layer.kind == "down" else ups).append(layer)
            blocks.append(_Block())
        else:
            (block.linears if layer.kind == "linear" else block.convolutions).append(layer)
    depth = len(downs)
    first = blocks[0]
    alike = all(
        len(block.convolutions) == len(first.convolutions)
        and len(block.linears) == len(first.linears)
        and block.joined == bool(block.linears)
        for block in blocks
    )
    ends = isinstance(entry, _Layer) and isinstance(leave, _Layer) and entry.active and not leave.active
    if (
        not ends
        or not alike
        or not first.convolutions
        or not depth == len(ups) == skips
        or len(blocks) != 2 * depth + 1
    ):
        raise ModelError(
            f"this file is no {SYSTEM}: its layers are not those of a U-Net with products of features"
        )
    assert isinstance(entry, _Layer)
    assert isinstance(leave, _Layer)
    named = {"entry": entry, **_named_blocks(blocks, depth)}
    named |= {f"downs.{index}": layer for index, layer in enumerate(downs)}
    named |= {f"ups.{index}": layer for index, layer in enumerate(ups)}
    weights = {
        f"{name}.{key}": value.contiguous()
        for name, layer in named.items()
        for key, value in _with_norm(layer).items()
    }
    weights |= {f"exit.{key.removeprefix('conv.')}": value for key, value in leave.weights.items()}
    return NetworkLayout(_sizes(entry, blocks), weights)


def _named_blocks(blocks: list[_Block], depth: int) -> dict[str, _Layer]:
    """Layers of the blocks under Soloist's names."""
    named: dict[str, _Layer] = {}
    for index, block in enumerate(blocks):
        place = (
            f"encoders.{index}"
            if index < depth
            else "middle"
            if index == depth
            else f"decoders.{index - depth - 1}"
        )
        dense = f"{place}.dense" if block.linears else place
        named |= {f"{dense}.{number}": layer for number, layer in enumerate(block.convolutions)}
        named |= {f"{place}.transform.{number}": layer for number, layer in enumerate(block.linears)}
    return named


def _with_norm(layer: _Layer) -> dict[str, Tensor]:
    """Weights of a layer with its norm; one that an exporter folded away becomes the identity."""
    if layer.groups is not None:
        return layer.weights
    folded = not any(key.startswith("norm.") for key in layer.weights)
    if not folded:
        return {"norm.num_batches_tracked": torch.tensor(0), **layer.weights}
    weight = layer.weights["conv.weight"]
    ones = weight.new_ones(weight.shape[1 if layer.kind == "up" else 0])
    # BatchNorm adds 1e-5 to the variance.
    norm = {"weight": ones, "bias": ones * 0, "running_mean": ones * 0, "running_var": ones - 1e-5}
    norm["num_batches_tracked"] = torch.tensor(0)
    return {**layer.weights, **{f"norm.{key}": value for key, value in norm.items()}}


def _sizes(entry: _Layer, blocks: list[_Block]) -> dict[str, Any]:
    first = blocks[0]
    bottleneck: int | None = None
    if first.linears:
        units, bins = first.linears[0].weights["linear.weight"].shape
        bottleneck = bins // units if len(first.linears) > 1 else 0
    return {
        "num_blocks": len(blocks),
        "growth": entry.weights["conv.weight"].shape[0],
        "layers": len(first.convolutions),
        "kernel": first.convolutions[0].weights["conv.weight"].shape[-1],
        "bottleneck_factor": bottleneck,
        "bias": bool(first.linears) and "linear.bias" in first.linears[0].weights,
        "norm_groups": entry.groups,
    }


_GROUPS = 2
"""Groups of the norms of a network that was trained with AdamW."""


def read_state(state: Mapping[str, Tensor]) -> NetworkLayout:
    """Read the layers of a state dict of the training.

    Raises:
        ModelError: The names are not those of an MDX-Net.
    """
    layers: list[_Layer | str] = []
    for place in _places(state):
        if place in ("join", "skip"):
            layers.append(place)
            continue
        prefix, number = place.rsplit(".", 1)
        norm = {
            f"norm.{name}": state[key]
            for name in ("weight", "bias", "running_mean", "running_var")
            if (key := f"{prefix}.{int(number) + 1}.{name}") in state
        }
        grouped = bool(norm) and "norm.running_mean" not in norm
        weight, bias = state[f"{place}.weight"], state.get(f"{place}.bias")
        if weight.ndim == 2:
            own = {"linear.weight": weight} | ({} if bias is None else {"linear.bias": bias})
            kind = "linear"
        else:
            kind = "up" if prefix.startswith("us.") else "down" if prefix.startswith("ds.") else "conv"
            own = {"conv.weight": weight.transpose(-1, -2), "conv.bias": cast(Tensor, bias)}
        layers.append(_Layer(kind, {**own, **norm}, _GROUPS if grouped else None, active=bool(norm)))
    layout = _assemble(layers)
    window, padding = state.get("window"), state.get("freq_pad")
    bins = _bins(layers, window, padding)
    return NetworkLayout({**layout.sizes, **({"num_input_bins": bins} if bins else {})}, layout.weights)


def _bins(layers: list[_Layer | str], window: Tensor | None, padding: Tensor | None) -> int | None:
    """Bins that the network sees: the inputs of its first fully connected layer, or the rest of a padding."""
    linears = [layer for layer in layers if isinstance(layer, _Layer) and layer.kind == "linear"]
    if linears:
        return linears[0].weights["linear.weight"].shape[1]
    return None if window is None or padding is None else window.numel() // 2 + 1 - padding.shape[2]


def _places(state: Mapping[str, Tensor]) -> list[str]:
    """Prefixes of the layers' weights, in the order in which the network runs them."""

    def count(pattern: str) -> int:
        return len({match.group(1) for name in state if (match := re.match(pattern, name))})

    depth = count(r"ds\.(\d+)\.0\.weight")

    def block(name: str) -> list[str]:
        layers = [f"{name}.tfc.H.{index}.0" for index in range(count(rf"{re.escape(name)}\.tfc\.H\.(\d+)\."))]
        linears = [place for place in (f"{name}.tdf.0", f"{name}.tdf.3") if f"{place}.weight" in state]
        return [*layers, *linears, *(["join"] if linears else [])]

    places = ["first_conv.0"]
    for index in range(depth):
        places += [*block(f"encoding_blocks.{index}"), f"ds.{index}.0"]
    places += block("bottleneck_block")
    for index in range(depth):
        places += [f"us.{index}.0", "skip", *block(f"decoding_blocks.{index}")]
    return [*places, "final_conv.0"]
