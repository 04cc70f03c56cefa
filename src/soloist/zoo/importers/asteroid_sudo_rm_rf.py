"""SuDoRM-RF of asteroid: the authors' networks with one synthesis for all sources, and other slopes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import OriginalSuDoRMRF, SuDoRMRF
from soloist.separators import FilterbankSeparator
from soloist.transforms import LearnedFilterbank
from soloist.zoo.importers.sudo_rm_rf import translate

SUDO_RM_RF = ("sudormrfnet", "sudormrfimprovednet")
"""Names of the classes, in lower case: the original network and the improved one."""

_RATE = 8000
_DEFAULTS: dict[str, Any] = {
    "n_src": 2,
    "n_filters": 512,
    "kernel_size": 21,
    "bn_chan": 128,
    "num_blocks": 16,
    "upsampling_depth": 4,
}


def from_sudo_rm_rf(model_name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator of a class with its arguments.

    The original ignores `stride`: hops are half a kernel.

    Args:
        model_name: Name of the class, in any case.
        args: Its arguments; `sources` may name the sources in a fixed order.

    Raises:
        ModelError: An argument is not supported.
    """
    settings = {**_DEFAULTS, **args}
    improved, num_sources = model_name.lower() == SUDO_RM_RF[1], settings["n_src"]
    _check(model_name, settings, improved)
    hop, depth = settings["kernel_size"] // 2, settings["upsampling_depth"]
    activation = settings.get("encoder_activation", None if improved else "relu")
    ordered = "sources" in args or num_sources == 1
    sources = ["speech"] if num_sources == 1 else [f"speaker{index + 1}" for index in range(num_sources)]
    return configuration_of(
        FilterbankSeparator,
        filterbank=configuration_of(
            LearnedFilterbank,
            num_filters=settings["n_filters"],
            kernel_size=settings["kernel_size"],
            num_sources=num_sources,
            synthesis="shared",
            activation="relu" if activation == "relu" else "identity",
        ),
        network=configuration_of(
            SuDoRMRF if improved else OriginalSuDoRMRF,
            num_filters=settings["n_filters"],
            channels=settings["bn_chan"],
            hidden_channels=settings["n_filters"],
            num_blocks=settings["num_blocks"],
            depth=depth,
            num_outputs=num_sources,
            **({"slopes_per_channel": True} if improved else {}),
        ),
        sources=list(args.get("sources", sources)),
        sample_rate=round(settings.get("sample_rate") or _RATE),
        ordered=ordered,
        normalization="none",
        pad_multiple=math.lcm(hop, 2**depth),
    )


def _check(model_name: str, settings: Mapping[str, Any], improved: bool) -> None:
    """Refuse options that the networks do not have.

    Raises:
        ModelError: An option has another value.
    """
    last = "relu" if improved else "softmax" if settings["n_src"] > 1 else "sigmoid"
    known = {
        "fb_name": ("free", "freefb"),
        "mask_act": (last,),
        "encoder_activation": (None, "linear", "relu"),
        "kernel_size": (settings["kernel_size"] | 1,),
    }
    stated = {**settings, "fb_name": str(settings.get("fb_name", "free")).lower()}
    for key, values in known.items():
        if stated.get(key, values[0]) not in values:
            raise ModelError(f"a {model_name} with {key} {stated[key]!r} is not supported")
    hop, depth = settings["kernel_size"] // 2, settings["upsampling_depth"]
    if math.lcm(hop, 2**depth) // hop % 2 ** (depth - 1):
        # The original then cuts the coarser levels, whose frames do not fit the finer ones.
        raise ModelError(f"a {model_name} of {depth} levels and hops of {hop} samples is not supported")


def translate_sudo_rm_rf(state: Mapping[str, Tensor], separator: FilterbankSeparator) -> dict[str, Tensor]:
    """Translate names and shapes of weights."""
    renamed = {
        name.removeprefix("masker.").replace("coder.filterbank._filters", "coder.weight"): value
        for name, value in state.items()
        if not name.startswith("encoder.encoder.")
    }
    shapes = {name: value.shape for name, value in separator.state_dict().items()}
    translated = translate(renamed)
    for name, value in translated.items():
        if name.endswith(".widen_activation.weight") and value.numel() == 1:
            # One slope for all channels is the same slope for each.
            translated[name] = value.expand(shapes[name])
    return translated
