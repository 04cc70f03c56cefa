"""Weights of nussl's recurrent networks on spectrograms, translated to those of `RecurrentNetwork`.

A projection onto mel bands is linear: it is folded into the first recurrent layer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from soloist.zoo.importers.nussl_graph import NusslModule, NusslModules, NusslSizes

State = Mapping[str, Tensor]

_EPS = 1e-5  # PyTorch's default in normalisations


def translate(modules: NusslModules, sizes: NusslSizes, weights: State) -> dict[str, Tensor]:
    """Make the state dict of a `RecurrentNetwork`.

    Args:
        modules: Modules of the network.
        sizes: Sizes of the network.
        weights: Weights by nussl's names, which begin with those of the modules.

    Raises:
        KeyError: A weight is missing.
        EinopsError: A weight is of another size.
    """
    ours = {f"rnn.{name}": value for name, value in _recurrent(modules, sizes, weights).items()}
    # Planes of embeddings are ordered by channels first, planes of masks by sources first.
    orders = ((modules.embedding, "(f c e) ... -> (c e f) ..."), (modules.mask, "(f c e) ... -> (e c f) ..."))
    heads = [_head(head, weights, sizes, order) for head, order in orders if head is not None]
    ours |= {f"head.{name}": torch.cat([head[name] for head in heads]) for name in heads[0]}
    return ours | (_statistics(modules.norm, weights) if modules.norm else {})


def _recurrent(modules: NusslModules, sizes: NusslSizes, weights: State) -> dict[str, Tensor]:
    """Weights of the stack; the first layer reads channel by channel here, in nussl bin by bin."""
    rnn = _within(f"{modules.stack.name}.rnn.", weights)
    for direction in ("", "_reverse") if modules.stack.args["bidirectional"] else ("",):
        matrix = rearrange(rnn[f"weight_ih_l0{direction}"], "g (f c) -> g c f", c=sizes.channels)
        if modules.mel is not None:
            there, shift = (weights[f"{modules.mel.name}.transform.{name}"] for name in ("weight", "bias"))
            bias = f"bias_ih_l0{direction}"
            rnn[bias] = rnn[bias] + (matrix @ shift).sum(dim=1)
            matrix = matrix @ there
        rnn[f"weight_ih_l0{direction}"] = matrix.flatten(1)
    return rnn


def _head(head: NusslModule, weights: State, sizes: NusslSizes, order: str) -> dict[str, Tensor]:
    weight = weights[f"{head.name}.linear.weight"]
    bias = (
        weights[f"{head.name}.linear.bias"] if head.args.get("bias", True) else weight.new_zeros(len(weight))
    )
    lengths = {"f": sizes.bins, "c": sizes.channels}
    return {"weight": rearrange(weight, order, **lengths), "bias": rearrange(bias, order, **lengths)}


def _statistics(norm: NusslModule, weights: State) -> dict[str, Tensor]:
    """Weights of the normalisation; another constant of nussl's is added to the variance."""
    values = _within(f"{norm.name}.batch_norm.", weights)
    if values:
        variance = values["running_var"]
        values = {"weight": torch.ones_like(variance), "bias": torch.zeros_like(variance)} | values
        values["running_var"] = variance + (norm.args.get("eps", _EPS) - _EPS)
    return {f"normalization.norm.{name}": value for name, value in values.items()}


def _within(prefix: str, weights: State) -> dict[str, Tensor]:
    """Weights whose names begin with a prefix, by the rest of the names."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
