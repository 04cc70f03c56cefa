"""DCCRNet and DCUNet of asteroid: strides of the named architectures, channels and kernels of the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import ComplexLevel, ComplexUNet
from soloist.separators import FilterbankSeparator
from soloist.transforms import FreeFilterbank
from soloist.zoo.importers.gtcrn import rename

COMPLEX = ("dccrnet", "dcunet")
"""Names of the classes, in lower case."""

_STRIDES: dict[str, list[list[int]]] = {
    "DCCRN-CL": [[2, 1]] * 6,
    "Large-DCUNet-20": [[1, 1], [1, 1], *([[2, 2], [2, 1]] * 4)],
}
_MINI = {"dccrnet": [[2, 1]] * 2, "dcunet": [[2, 2]] * 3}
_RATE = 16000
_BOUNDS = {"tanh": "tanh", "sigmoid": "sigmoid", None: "none"}


def from_complex(model_name: str, args: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator of a class with its arguments.

    Args:
        model_name: Name of the class, in any case.
        args: Its arguments.
        state: Weights under the original's names.

    Raises:
        ModelError: The architecture or an argument is not supported.
    """
    architecture, kind = str(args.get("architecture")), model_name.lower()
    strides = _MINI[kind] if architecture == "mini" else _STRIDES.get(architecture)
    if strides is None:
        raise ModelError(f"a {model_name} of the architecture {architecture!r} is not supported")
    bound = args.get("mask_bound", "tanh")
    if bound not in _BOUNDS:
        raise ModelError(f"a {model_name} with mask_bound {bound!r} is not supported")
    n_fft, num_sources = args.get("stft_n_filters", 512), args.get("n_src", 1)
    recurrence = state.get(f"masker.encoders.{len(strides)}.rnn.rnns.0.re_module.rnn.weight_hh_l0")
    sources = ["speech"] if num_sources == 1 else [f"speaker{index + 1}" for index in range(num_sources)]
    return configuration_of(
        FilterbankSeparator,
        filterbank=configuration_of(
            FreeFilterbank,
            num_filters=n_fft,
            kernel_size=args.get("stft_kernel_size", 400),
            hop_length=args.get("stft_stride", 100),
            num_sources=num_sources,
            kind="stft",
        ),
        network=configuration_of(
            ComplexUNet,
            levels=_levels(model_name, strides, state),
            num_bins=n_fft // 2 + 1,
            num_outputs=num_sources,
            hidden_size=None if recurrence is None else recurrence.shape[1],
            bound=_BOUNDS[bound],
            trimmed=args.get("fix_length_mode") == "trim",
        ),
        sources=list(args.get("sources", sources)),
        sample_rate=round(args.get("sample_rate") or _RATE),
        ordered=num_sources == 1,
        mode="mapping",
        normalization="none",
        pad_multiple=1,
    )


def _levels(model_name: str, strides: list[list[int]], state: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Levels with the channels and kernels of the weights.

    Raises:
        ModelError: The weights are those of another number of levels.
    """
    kernels = [state.get(f"masker.encoders.{index}.conv.re_module.weight") for index in range(len(strides))]
    names = [f"masker.decoders.{index}.deconv.re_module.weight" for index in range(len(strides))]
    decoded = [state[name].shape[1] for name in names if name in state]
    if None in kernels or len(decoded) != len(strides) - 1:
        raise ModelError(f"the weights do not fit the {model_name} of its model_args: other levels")
    below = [0, *reversed(decoded)]
    return [
        configuration_of(
            ComplexLevel,
            encoded=len(kernel),
            decoded=below[index],
            kernel=list(kernel.shape[2:]),
            stride=strides[index],
        )
        for index, kernel in enumerate(kernels)
        if kernel is not None
    ]


_RENAMED = [
    (r"^masker\.encoders\.(\d+)\.(rnn\.rnns|linear)\.", r"network.recurrence.\2."),
    (r"\.rnn\.rnns\.", ".rnns."),
    (r"^masker\.encoders\.", "network.encoders."),
    (r"^masker\.output_layer\.0\.", "network.output."),
    (r"\.deconv\.", ".conv."),
    (r"\.re_module\.", ".real."),
    (r"\.im_module\.", ".imaginary."),
]


def translate_complex(state: Mapping[str, Tensor], separator: FilterbankSeparator) -> dict[str, Tensor]:
    """Weights under Soloist's names.

    Args:
        state: Weights under the original's names.
        separator: The separator that takes them.
    """
    decoders = [int(match[1]) for name in state if (match := re.match(r"masker\.decoders\.(\d+)\.", name))]
    first = min(decoders, default=0)
    translated = {}
    for name, value in state.items():
        if not name.startswith("masker."):
            continue
        ours = re.sub(
            r"^masker\.decoders\.(\d+)\.", lambda match: f"network.decoders.{int(match[1]) - first}.", name
        )
        translated[rename(ours, _RENAMED)] = torch.as_tensor(value)
    return translated
