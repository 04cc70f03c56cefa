"""Floating-point operations of a computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]

_aten = torch.ops.aten


def count_operations(call: Callable[[], object]) -> int:
    """Count the floating-point operations (FLOPs) of a function of PyTorch, two for each product.

    The count has convolutions, transposed convolutions (at the length of their input), matrix products,
    attention, and the products with the weights of recurrent layers. It leaves out biases, normalisations,
    activations, resampling, Fourier transforms, and the order statistics of training-free separators. A
    masked weight counts like any other.

    With tensors on the "meta" device the function computes nothing.
    """
    with FlopCounterMode(display=False, custom_mapping=_PASSED_OVER) as counter:
        call()
    return int(counter.get_total_flops())


def _mkldnn_layer(features: Shape, of_input: Shape, of_state: Shape, *_: Any, **__: Any) -> int:
    """FLOPs of one direction of one layer on `(steps, batch, features)`."""
    return 2 * features[0] * features[1] * (prod(of_input) + prod(of_state))


def _cudnn_layers(features: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    """FLOPs of all layers and directions, on `(steps, batch, features)` or `(batch, steps, features)`."""
    return 2 * features[0] * features[1] * sum(prod(weight) for weight in weights if len(weight) == 2)


def _adding_convolution(total: Shape, _: Shape, weight: Shape, *__: Any, **___: Any) -> int:
    """FLOPs of a convolution that adds to `total`, `(batch, channels, height, width)`."""
    return 2 * prod(weight) * prod(total) // total[1]


def _linear_layer(features: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    """FLOPs of a linear layer on `(..., features)`."""
    return 2 * prod(features) * weight[0]


# PyTorch's counter passes over LSTMs in single precision on a CPU, recurrent layers on CUDA, each of which is
# one operation, and the operations of oneDNN; in other recurrent layers it sees the products.
_PASSED_OVER = {_aten.mkldnn_rnn_layer: _mkldnn_layer, _aten._cudnn_rnn: _cudnn_layers}
if torch.backends.mkldnn.is_available():
    _PASSED_OVER[torch.ops.mkldnn._convolution_pointwise_] = _adding_convolution
    _PASSED_OVER[torch.ops.mkldnn._linear_pointwise] = _linear_layer
