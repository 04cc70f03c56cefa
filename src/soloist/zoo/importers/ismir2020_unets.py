"""ISMIR 2020 U-Nets (github.com/ws-choi/ISMIR2020_U_Nets_SVS) and the TDC-17 of its early notebooks.

The original's spectrograms are `(batch, channels, frames, frequency)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import TDC, TDCRNN, TDF, TFC, TFCTDF, UNet
from soloist.separators import SpectralSeparator, build_separator
from soloist.transforms import STFT
from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights

CARD = {
    "system": "U-Net with intermediate blocks (ISMIR 2020)",
    "title": "Vocals from songs, by a U-Net on spectrograms",
    # Licence of the code; only the card of a known file can state that of the weights.
    "licence": {"code": "MIT"},
    "citation": (
        "Woosung Choi, Minseok Kim, Jaehwa Chung, Daewon Lee, Soonyoung Jung: Investigating U-Nets with "
        "various Intermediate Blocks for Spectrogram-based Singing Voice Separation. ISMIR 2020."
    ),
    "notes": (
        "Activations, the hop of the transform, mapping or masking, the source and the sample rate are not "
        "stored with the weights: they are taken as published."
    ),
}


class UNetImporter(Importer):
    """Importer of the checkpoints of the framework (`spec2spec.*`), of a network, and of TDC-17."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Facts that no weight tells are taken as published: rectified linear units inside, the hop of the
        published commands, complex spectrograms mapped, magnitudes masked by a sigmoid, vocals at 44.1 kHz.

        Raises:
            ModelError: The names are this code base's, but no network has these shapes.
        """
        state = checkpoint.state
        names = {name.removeprefix("spec2spec.") for name in state}
        if not {"first_conv.0.weight", "first_conv.1.running_mean"} <= names or not any(
            name.startswith("mid_block.") for name in names
        ):
            return None
        try:
            config = from_shapes(_without_prefix(state), state.get("stft.stft.window"))
        except KeyError as error:
            raise ModelError(f"the checkpoint of a U-Net is incomplete: it has no {error}") from None
        separator = make_separator(config, state)
        parameters = sum(weight.numel() for weight in separator.network.parameters())
        card = {**CARD, "sources": list(separator.sources), "sample_rate": separator.sample_rate}
        return ImportedModel(
            separator, config, {**card, "channels": separator.channels, "parameters": parameters}
        )


def make_separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> SpectralSeparator:
    """Build a separator with the weights of a network or of a framework.

    Args:
        config: `class_path` and `init_args` of the separator.
        state: Weights under the original's names.

    Raises:
        ModelError: The weights do not fit.
    """
    separator = cast(SpectralSeparator, build_separator(config, "the U-Net's configuration"))
    load_weights(separator.network, _translate(state), "the U-Net of the configuration")
    return separator


def from_shapes(state: Mapping[str, Tensor], window: Tensor | None) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator, from the shapes of the weights.

    Args:
        state: Weights under the original's names, without a prefix.
        window: Window of the STFT, which only the framework stores.

    Raises:
        ModelError: No network has these shapes.
    """
    inputs, bins = state["first_conv.0.weight"].shape[1], _num_bins(state, window)
    if inputs not in (2, 4):
        raise ModelError(
            f"a U-Net with {inputs} input channels is neither stereo magnitude nor stereo complex"
        )
    n_fft = 2 * (bins - 1)
    hop_length = 256 if n_fft == 1024 else min(1024, n_fft // 2)
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(STFT, n_fft=n_fft, hop_length=hop_length),
        network=_network_of_state(state, inputs, bins),
        sources=["vocals"],
        sample_rate=44100,
        representation="complex" if inputs == 4 else "magnitude",
        plane_order="channels" if "final_conv.0.weight" in state else "parts",
        mode="mapping" if inputs == 4 else "masking",
    )


def _network_of_state(state: Mapping[str, Tensor], inputs: int, bins: int) -> dict[str, Any]:
    depth = _count(state, r"encoders\.(\d+)\.")
    return configuration_of(
        UNet,
        block=_block_of_state(state, depth, bins - 1),
        input_channels=inputs,
        internal_channels=state["first_conv.0.weight"].shape[0],
        num_blocks=2 * depth + 1,
        num_bins=bins,
        time_levels=_time_levels(state, depth),
        last_activation="identity" if inputs == 4 else "sigmoid",
    )


def _num_bins(state: Mapping[str, Tensor], window: Tensor | None) -> int:
    """Number of bins from the stored window, else from the first fully connected layer, else as published."""
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
    """Smallest divisor, with a minimum, that gives each level its units."""
    least = min(units) if least is None else least
    for factor in range(1, sizes[0] + 1):
        if [max(size // factor, least) for size in sizes] == units:
            return factor, least
    raise ModelError(f"no bottleneck factor makes {units} units of {sizes} bins")


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match.group(1) for name in state if (match := re.match(pattern, name))})


_RENAMED = [
    (r"^first_conv\.0\.", "entry.conv."),
    (r"^first_conv\.1\.", "entry.norm."),
    (r"^(?:last|final)_conv\.0\.", "exit."),
    (r"^(down|up)samplings?\.(\d+)\.(?:0|conv)\.", r"\1s.\2.conv."),
    (r"^(down|up)samplings?\.(\d+)\.(?:1|bn)\.", r"\1s.\2.norm."),
    (r"^mid_block\.", "middle."),
    (r"\.(?:tfc|tic)\.H\.", ".dense.H."),
    (r"\.H\.(\d+)\.0\.", r".layers.\1.conv."),
    (r"\.H\.(\d+)\.1\.", r".layers.\1.norm."),
    (r"\.bn\.", ".norm."),
    (r"\.(?:tif|tif_f1_to_f2)\.tif\.", ".transform.tif."),
    (r"\.tif\.0\.", ".0.linear."),
    (r"\.tif\.1\.", ".0.norm."),
    (r"\.tif\.3\.", ".1.linear."),
    (r"\.tif\.4\.", ".1.norm."),
]


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix("spec2spec."): torch.as_tensor(value)
        for name, value in state.items()
        if not name.startswith("stft.")
    }


def _translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names and axes: kernels of the original are `(frames, bins)`."""
    theirs = _without_prefix(state)
    # In the early notebooks, only the convolutions between the first and the last have frames first.
    early = "final_conv.0.weight" in theirs
    ours = {}
    for name, value in theirs.items():
        if value.ndim == 4 and not (early and name in ("first_conv.0.weight", "final_conv.0.weight")):
            value = value.transpose(-1, -2)
        if value.ndim == 3:
            value = value[..., None]
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        ours[name] = value.contiguous()
    return ours
