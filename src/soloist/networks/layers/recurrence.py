"""Recurrent stacks and their initialisation."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn

from soloist.errors import UsageError

Cell = Literal["lstm", "gru"]


def make_rnn(
    cell: Cell,
    inputs: int,
    hidden_size: int,
    *,
    layers: int = 1,
    bidirectional: bool = True,
    dropout: float = 0.0,
) -> nn.LSTM | nn.GRU:
    """A recurrent stack on `(batch, frames, inputs)`, initialised by `initialize_rnn`.

    Args:
        cell: "lstm" or "gru".
        inputs: Features of a frame that come in.
        hidden_size: Features of a frame that go out, for each direction.
        layers: Layers.
        bidirectional: Whether a frame depends on later ones too.
        dropout: Probability with which a feature between the layers is left out in training.

    Raises:
        UsageError: There is no such cell.
    """
    if cell not in get_args(Cell):
        raise UsageError(f"cell {cell!r} is none of {', '.join(get_args(Cell))}")
    rnn = (nn.LSTM if cell == "lstm" else nn.GRU)(
        inputs,
        hidden_size,
        num_layers=layers,
        batch_first=True,
        bidirectional=bidirectional,
        # Of one layer, PyTorch warns that there is nothing to leave out.
        dropout=dropout if layers > 1 else 0.0,
    )
    initialize_rnn(rnn)
    return rnn


@torch.no_grad()
def initialize_rnn(rnn: nn.LSTM | nn.GRU) -> None:
    """Draw the weights of each gate by Xavier's rule; biases are zero, but an LSTM begins by remembering.

    The bias of its forget gate is one: R. Jozefowicz, W. Zaremba and I. Sutskever, "An empirical exploration
    of recurrent network architectures", ICML 2015. Of the two biases that are added up, one has it.
    """
    for name, parameter in rnn.named_parameters():
        if parameter.ndim == 2:
            for gate in parameter.split(rnn.hidden_size):
                nn.init.xavier_uniform_(gate)
            continue
        parameter.zero_()
        if isinstance(rnn, nn.LSTM) and name.startswith("bias_ih"):
            # In PyTorch's order: input, forget, cell, output.
            parameter[rnn.hidden_size : 2 * rnn.hidden_size] = 1.0
