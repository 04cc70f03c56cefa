"""The weights of nussl's recurrent networks on spectrograms, as those of ours.

A projection onto mel bands is linear, as recurrent layers are in what they see: it is folded into the first.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from soloist.zoo.importers.nussl_graph import NusslModule, NusslModules, NusslSizes

State = Mapping[str, Tensor]

_EPS = 1e-5  # of PyTorch's normalisations


def translate(modules: NusslModules, sizes: NusslSizes, weights: State) -> dict[str, Tensor]:
    """The state dict of a `RecurrentNetwork`.

    Args:
        modules: What the model consists of.
        sizes: How many of what there are.
        weights: By nussl's names, which begin with those of the modules.

    Raises:
        KeyError: Some are missing.
        EinopsError: Some are of other sizes.
    """
    ours = {f"rnn.{name}": value for name, value in _recurrent(modules, sizes, weights).items()}
    # Of embeddings first the planes of a channel, of masks first those of a source.
    orders = ((modules.embedding, "(f c e) ... -> (c e f) ..."), (modules.mask, "(f c e) ... -> (e c f) ..."))
    heads = [_head(head, weights, sizes, order) for head, order in orders if head is not None]
    ours |= {f"head.{name}": torch.cat([head[name] for head in heads]) for name in heads[0]}
    return ours | (_statistics(modules.norm, weights) if modules.norm else {})


def _recurrent(modules: NusslModules, sizes: NusslSizes, weights: State) -> dict[str, Tensor]:
    """Those of the stack, whose first layer sees the first channel first with us, there the first bin."""
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
    """What our normalisation holds of theirs, whose small constant may be another."""
    values = _within(f"{norm.name}.batch_norm.", weights)
    if values:
        variance = values["running_var"]
        values = {"weight": torch.ones_like(variance), "bias": torch.zeros_like(variance)} | values
        values["running_var"] = variance + (norm.args.get("eps", _EPS) - _EPS)
    return {f"normalization.norm.{name}": value for name, value in values.items()}


def _within(prefix: str, weights: State) -> dict[str, Tensor]:
    """What begins with a prefix, by the rest of its name."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
