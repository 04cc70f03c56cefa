"""Options of the ISMIR 2020 U-Nets as configurations of ours: from their options, and from their weights."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import TDC, TDCRNN, TDF, TFC, TFCTDF, UNet
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT

Options = Mapping[str, Any]
"""Options of their command line, as reference vectors record them."""


def from_options(options: Options) -> dict[str, Any]:
    """`class_path` and `init_args` of our separator for the options of theirs.

    The options of a network alone make a separator of magnitudes around it.

    Raises:
        KeyError: An option is missing, or the class is unknown.
    """
    n_fft, inputs = options["n_fft"], options["input_channels"]
    representation = options.get("spec_type", "magnitude")
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(STFT, n_fft=n_fft, hop_length=options.get("hop_length", n_fft // 2)),
        network=_network_from_options(options),
        sources=[options.get("target_name", "vocals")],
        sample_rate=44100,
        channels=inputs // 2 if representation == "complex" else inputs,
        representation=representation,
        mode=options.get("spec_est_mode", "masking"),
    )


def _network_from_options(options: Options) -> dict[str, Any]:
    name = options["class"].removesuffix("_Framework")
    depth = options["n_blocks"] // 2
    block = _BLOCKS[name](options)
    block["init_args"]["activation"] = options[f"{name.removesuffix('_NET').lower()}_activation"]
    frequency_only = name in ("TDC_NET", "TDF_NET")
    return configuration_of(
        UNet,
        block=block,
        input_channels=options["input_channels"],
        internal_channels=options["internal_channels"],
        num_blocks=options["n_blocks"],
        num_bins=options["n_fft"] // 2 + 1,
        time_levels=[] if frequency_only else _levels(options.get("t_down_layers"), depth),
        first_activation=options["first_conv_activation"],
        last_activation=options["last_activation"],
    )


_BLOCKS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "TFC_NET": lambda options: configuration_of(TFC, **_convolutions(options, "kernel_size_t")),
    "TDC_NET": lambda options: configuration_of(TDC, **_convolutions(options)),
    "TDF_NET": lambda options: configuration_of(TDF, **_bottleneck(options), bias=options["bias"]),
    "TFC_TDF_NET": lambda options: configuration_of(
        TFCTDF,
        **_convolutions(options, "kernel_size_t"),
        **_bottleneck(options),
        bias=options["tfc_tdf_bias"],
        keep_bands=options.get("tif_init_mode") == "dk",
    ),
    "TDC_RNN_NET": lambda options: configuration_of(
        TDCRNN,
        **_convolutions(options),
        rnn_factor=options["bn_factor_rnn"],
        rnn_layers=options["num_layers_rnn"],
        rnn_minimum_units=options["min_bn_units_rnn"],
        rnn_bias=options["bias_rnn"],
        bottleneck_factor=_optional(options["bn_factor_tdf"]),
        bias=options["bias_tdf"],
    ),
}


def _convolutions(options: Options, kernel_time: str | None = None) -> dict[str, Any]:
    sizes = {"layers": options["n_internal_layers"], "kernel_frequency": options["kernel_size_f"]}
    return sizes if kernel_time is None else {**sizes, "kernel_time": options[kernel_time]}


def _bottleneck(options: Options) -> dict[str, Any]:
    return {
        "bottleneck_factor": _optional(options["bn_factor"]),
        "minimum_units": options["min_bn_units"],
    }


def _optional(value: int | str | None) -> int | None:
    """Their command line writes None as a word."""
    return None if value is None or value in ("None", "none") else int(value)


def _levels(listed: str | None, depth: int) -> list[int] | None:
    """Their list of levels is a string, "[0, 2]" or "1"; what lies below the last level is of no effect."""
    if listed in (None, "None", "none"):
        return None
    value = ast.literal_eval(str(listed))
    levels: Iterable[int] = [value] if isinstance(value, int) else value
    return sorted({level for level in levels if level < depth})


# From names and shapes


def from_shapes(state: Mapping[str, Tensor], window: Tensor | None) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator whose network has these weights.

    Args:
        state: Weights under the original's names, without a prefix.
        window: The STFT's, which the framework stores.

    Raises:
        ModelError: The shapes are not of any of the networks.
    """
    early = "final_conv.0.weight" in state
    channels, inputs = state["first_conv.0.weight"].shape[:2]
    if inputs not in (2, 4):
        raise ModelError(
            f"a U-Net with {inputs} input channels is neither stereo magnitude nor stereo complex"
        )
    depth = _count(state, r"encoders\.(\d+)\.")
    bins = _num_bins(state, window)
    n_fft = 2 * (bins - 1)
    representation = "complex" if inputs == 4 else "magnitude"
    network = configuration_of(
        UNet,
        block=_block_of_state(state, depth, bins - 1),
        input_channels=inputs,
        internal_channels=channels,
        num_blocks=2 * depth + 1,
        num_bins=bins,
        time_levels=_time_levels(state, depth),
        last_activation="identity" if inputs == 4 else "sigmoid",
    )
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(
            STFT, n_fft=n_fft, hop_length=256 if n_fft == 1024 else min(1024, n_fft // 2)
        ),
        network=network,
        sources=["vocals"],
        sample_rate=44100,
        representation=representation,
        plane_order="channels" if early else "parts",
        mode="mapping" if inputs == 4 else "masking",
    )


def _num_bins(state: Mapping[str, Tensor], window: Tensor | None) -> int:
    """From the stored window, else from the first fully connected layer, else as published."""
    if window is not None:
        return window.shape[0] // 2 + 1
    for name in ("encoders.0.tif.0.weight", "encoders.0.tif.tif.0.weight", "encoders.0.rnn.weight_ih_l0"):
        if name in state:
            return state[name].shape[1] + 1
    return 1025


def _time_levels(state: Mapping[str, Tensor], depth: int) -> list[int]:
    kernels = (state.get(f"downsamplings.{level}.0.weight") for level in range(depth))
    return [level for level, kernel in enumerate(kernels) if kernel is not None and kernel.shape[2] == 2]


def _block_of_state(state: Mapping[str, Tensor], depth: int, bins: int) -> dict[str, Any]:
    levels = [f"encoders.{level}." for level in range(depth)] + ["mid_block."]
    sizes = [bins >> level for level in range(depth + 1)]
    parts = {name.removeprefix("mid_block.").split(".")[0] for name in state if name.startswith("mid_block.")}
    if parts == {"H"}:
        kernel = state["mid_block.H.0.0.weight"]
        options = _dense_of_state(state, "mid_block.H")
        return configuration_of(TDC if kernel.ndim == 3 else TFC, **options)
    if parts == {"tif"}:
        return configuration_of(TDF, **_transform_of_state(state, levels, "tif", sizes))
    if parts == {"tfc", "tif"}:
        dense = _dense_of_state(state, "mid_block.tfc.H")
        return configuration_of(TFCTDF, **dense, **_transform_of_state(state, levels, "tif.tif", sizes))
    if parts == {"tic", "bn", "rnn", "tif_f1_to_f2"}:
        dense = _dense_of_state(state, "mid_block.tic.H")
        transform = _transform_of_state(state, levels, "tif_f1_to_f2.tif", sizes, least=16)
        del transform["minimum_units"]
        hidden = [state[f"{level}rnn.weight_hh_l0"].shape[1] for level in levels]
        factor, least = _factor(sizes, hidden)
        return configuration_of(
            TDCRNN,
            **dense,
            **transform,
            rnn_factor=factor,
            rnn_minimum_units=least,
            rnn_layers=_count(state, r"mid_block\.rnn\.weight_hh_l(\d+)"),
            rnn_bias="mid_block.rnn.bias_hh_l0" in state,
        )
    raise ModelError(f"a U-Net whose blocks consist of {', '.join(sorted(parts))} is not known")


def _dense_of_state(state: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    kernel = state[f"{prefix}.0.0.weight"]
    options = {
        "layers": _count(state, rf"{re.escape(prefix)}\.(\d+)\."),
        "kernel_frequency": kernel.shape[-1],
    }
    return options if kernel.ndim == 3 else {**options, "kernel_time": kernel.shape[2]}


def _transform_of_state(
    state: Mapping[str, Tensor], levels: list[str], part: str, sizes: list[int], least: int | None = None
) -> dict[str, Any]:
    bias = f"{levels[0]}{part}.0.bias" in state
    if f"{levels[0]}{part}.3.weight" not in state:
        return {"bottleneck_factor": None, "minimum_units": 16, "bias": bias}
    units = [state[f"{level}{part}.0.weight"].shape[0] for level in levels]
    factor, least = _factor(sizes, units, least)
    return {"bottleneck_factor": factor, "minimum_units": least, "bias": bias}


def _factor(sizes: list[int], units: list[int], least: int | None = None) -> tuple[int, int]:
    """A divisor and a minimum that give each level its units; others that do the same are as good."""
    least = min(units) if least is None else least
    for factor in range(1, sizes[0] + 1):
        if [max(size // factor, least) for size in sizes] == units:
            return factor, least
    raise ModelError(f"no bottleneck factor makes {units} units of {sizes} bins")


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match.group(1) for name in state if (match := re.match(pattern, name))})
