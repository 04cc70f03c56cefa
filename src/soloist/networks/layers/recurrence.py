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
    """Make a recurrent stack on `(batch, frames, inputs)`, initialised by `initialize_rnn`.

    Args:
        cell: "lstm" or "gru".
        inputs: Input features of a frame.
        hidden_size: Output features of a frame, for each direction.
        layers: Number of layers.
        bidirectional: Run in both directions of time.
        dropout: Dropout probability between the layers.

    Raises:
        UsageError: The cell is unknown.
    """
    if cell not in get_args(Cell):
        raise UsageError(f"cell {cell!r} is none of {', '.join(get_args(Cell))}")
    rnn = (nn.LSTM if cell == "lstm" else nn.GRU)(
        inputs,
        hidden_size,
        num_layers=layers,
        batch_first=True,
        bidirectional=bidirectional,
        # With one layer, PyTorch warns of dropout without effect.
        dropout=dropout if layers > 1 else 0.0,
    )
    initialize_rnn(rnn)
    return rnn


@torch.no_grad()
def initialize_rnn(rnn: nn.LSTM | nn.GRU) -> None:
    """Draw the weights of each gate by Xavier's rule; set biases to zero, and an LSTM's forget gates to one.

    R. Jozefowicz, W. Zaremba and I. Sutskever, "An empirical exploration of recurrent network architectures",
    ICML 2015. PyTorch adds two biases up; the first one carries the value.
    """
    for name, parameter in rnn.named_parameters():
        if parameter.ndim == 2:
            for gate in parameter.split(rnn.hidden_size):
                nn.init.xavier_uniform_(gate)
            continue
        parameter.zero_()
        if isinstance(rnn, nn.LSTM) and name.startswith("bias_ih"):
            # Order of the gates in PyTorch: input, forget, cell, output.
            parameter[rnn.hidden_size : 2 * rnn.hidden_size] = 1.0
