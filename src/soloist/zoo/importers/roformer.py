"""BS-RoFormer and Mel-Band RoFormer as Music-Source-Separation-Training and UVR train and publish them.

The code is a fork of lucidrains/BS-RoFormer of 2023. Its two networks differ in their norms and in the layers
that `mask_estimator_depth` counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import BSRoFormer, MelBandRoFormer, RoFormerDesign
from soloist.networks.roformer.bs_roformer import PUBLISHED_BANDS
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT
from soloist.zoo.importers.importer import (
    ImportedModel,
    Importer,
    PublishedCheckpoint,
    build_spectral,
    load_weights,
)
from soloist.zoo.importers.msst_options import check_model_keys, chunk_length, cutting, instruments, section

SYSTEM = "RoFormer"

_BS_CARD = {
    "system": "BS-RoFormer",
    "licence": {"code": "MIT", "weights": "not stated"},
    "citation": (
        "Wei-Tsung Lu, Ju-Chiang Wang, Qiuqiang Kong, Yun-Ning Hung: Music Source Separation with Band-Split "
        "RoPE Transformer. ICASSP 2024."
    ),
}
_MEL_CARD = {
    "system": "Mel-Band RoFormer",
    "licence": {"code": "MIT", "weights": "not stated"},
    "citation": (
        "Ju-Chiang Wang, Wei-Tsung Lu, Minz Won: Mel-Band RoFormer for Music Source Separation. ISMIR 2023, "
        "late-breaking demo."
    ),
}

# Settings that change the separator, and those of training or of other kernels for the same numbers.
_USED = (
    "depth",
    "dim",
    "dim_head",
    "freq_transformer_depth",
    "heads",
    "linear_transformer_depth",
    "mask_estimator_depth",
    "mlp_expansion_factor",
    "num_stems",
    "skip_connection",
    "stereo",
    "stft_hop_length",
    "stft_n_fft",
    "stft_normalized",
    "stft_win_length",
    "time_transformer_depth",
    "use_pope",
    "zero_dc",
)
_UNUSED = (
    "attn_dropout",
    "dim_freqs_in",
    "ff_dropout",
    "flash_attn",
    "match_input_audio_length",
    "multi_stft_hop_size",
    "multi_stft_normalized",
    "multi_stft_resolution_loss_weight",
    "multi_stft_resolutions_window_sizes",
    "sage_attention",
    "stft_window_fn",
    "use_torch_checkpoint",
)
_OWN = {"BS": ("freqs_per_bands",), "Mel": ("num_bands", "sample_rate")}

# Parts of names that only forks have.
_FORKS = {
    "to_value_residual_mix": "value residuals",
    ".segm.": "HyperACE",
    "conv_module": "conformer layers",
    "linear_62_bias_0": "shared biases",
    "fno": "Fourier neural operators",
    "lora_": "a low-rank adapter without its model",
}


class RoFormerImporter(Importer):
    """Importer of BS-RoFormer and Mel-Band RoFormer, with the settings of their YAML."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Raises:
            ModelError: The names are those of a RoFormer, but it is a fork's, or its settings are missing,
                unknown or do not fit.
        """
        names = checkpoint.state.keys()
        if not any(name.startswith(("band_split.to_features.", "lora_")) for name in names):
            return None
        fork = next((fork for part, fork in _FORKS.items() if any(part in name for name in names)), None)
        if fork is not None:
            raise ModelError(f"this RoFormer is a fork's, with {fork}, which Soloist does not have")
        config = from_options(checkpoint.options)
        separator = make_separator(config, checkpoint.state)
        bands = "bands" if isinstance(separator.network, BSRoFormer) else "mel bands"
        title = f"{', '.join(separator.sources).capitalize()}, by transformers on {bands} of the spectrogram"
        card = _BS_CARD if isinstance(separator.network, BSRoFormer) else _MEL_CARD
        return ImportedModel(separator, config, {**card, "title": title})


def make_separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> SpectralSeparator:
    """Build a separator with the weights of a network.

    Args:
        config: `class_path` and `init_args` of the separator.
        state: Weights under the original's names.

    Raises:
        ModelError: The weights do not fit the settings.
    """
    separator = build_spectral(config, SYSTEM)
    network = cast(BSRoFormer | MelBandRoFormer, separator.network)
    _check_mask_layers(network, state)
    try:
        weights = _translate(network, state)
    except (KeyError, RuntimeError) as error:
        missing = f"there is no {error}" if isinstance(error, KeyError) else "shapes differ"
        raise ModelError(f"the weights do not fit the {SYSTEM} of the settings: {missing}") from None
    load_weights(network, weights, f"the {SYSTEM} of the settings")
    return separator


def from_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator for the settings of a YAML.

    Raises:
        ModelError: A setting is missing or unknown.
    """
    model = section(options, "model", SYSTEM)
    kind = "Mel" if "num_bands" in model else "BS"
    check_model_keys(model, (*_USED, *_UNUSED, *_OWN[kind]), f"a {kind} {SYSTEM}")
    sources = instruments(options, SYSTEM)
    if (stems := model.get("num_stems", 1)) != len(sources):
        raise ModelError(f"the settings have {stems} stems, but name {', '.join(sources)}")
    audio = section(options, "audio", SYSTEM)
    hop = model.get("stft_hop_length", 512)
    frames = (chunk_length(options, SYSTEM) or hop * 800) // hop + 1
    return separator_config(model, sources, audio.get("sample_rate", 44100), frames, cutting(options, SYSTEM))


def separator_config(
    model: Mapping[str, Any],
    sources: Sequence[str],
    sample_rate: int,
    chunk_frames: int,
    cut: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator for the arguments of the original's class.

    Args:
        model: Arguments of the class.
        sources: Names of the sources.
        sample_rate: Rate in Hz.
        chunk_frames: Frames of a chunk.
        cut: Configuration of the cut of recordings into chunks.

    Raises:
        ModelError: An argument is missing.
    """
    channels = 2 if model.get("stereo", False) else 1
    n_fft = model.get("stft_n_fft", 2048)
    try:
        return configuration_of(
            SpectralSeparator,
            transform=configuration_of(
                STFT,
                n_fft=n_fft,
                hop_length=model.get("stft_hop_length", 512),
                window_length=model.get("stft_win_length", n_fft),
                orthonormal=model.get("stft_normalized", False),
            ),
            network=_network(model, len(sources), channels, n_fft // 2 + 1),
            sources=list(sources),
            sample_rate=sample_rate,
            channels=channels,
            plane_order="channels",
            mode="complex_masking",
            chunk_frames=chunk_frames,
            cutting=cut,
        )
    except KeyError as error:
        raise ModelError(f"the settings of this {SYSTEM} have no {error}") from None


def _network(model: Mapping[str, Any], stems: int, channels: int, num_bins: int) -> dict[str, Any]:
    mel = "num_bands" in model
    depth = model.get("mask_estimator_depth", 1 if mel else 2)
    common = {
        "input_channels": 2 * channels,
        "output_channels": 2 * channels * stems,
        "blocks": _design(model),
        # The original counts hidden layers of one network, and all layers of the other.
        "mask_layers": depth + 1 if mel else depth,
        "mask_expansion": model.get("mlp_expansion_factor", 4),
        # The original's default since 2025; figures of earlier checkpoints were made without.
        "zero_dc": model.get("zero_dc", True),
    }
    if mel:
        return configuration_of(
            MelBandRoFormer,
            **common,
            num_bins=num_bins,
            sample_rate=model.get("sample_rate", 44100),
            num_bands=model["num_bands"],
        )
    return configuration_of(BSRoFormer, **common, bands=list(model.get("freqs_per_bands", PUBLISHED_BANDS)))


def _design(model: Mapping[str, Any]) -> dict[str, Any]:
    return configuration_of(
        RoFormerDesign,
        dim=model["dim"],
        depth=model["depth"],
        heads=model.get("heads", 8),
        head_dim=model.get("dim_head", 64),
        time_layers=model.get("time_transformer_depth", 2),
        frequency_layers=model.get("freq_transformer_depth", 2),
        linear_layers=model.get("linear_transformer_depth", 0),
        skips=model.get("skip_connection", False),
        polar=model.get("use_pope", False),
    )


def _check_mask_layers(network: BSRoFormer | MelBandRoFormer, state: Mapping[str, Tensor]) -> None:
    """Refuse weights whose masks have another number of layers than the settings."""
    names = [name for name in state if re.fullmatch(r"mask_estimators\.0\.to_freqs\.0\.0\.\d+\.weight", name)]
    expected = network.mask_layers
    if names and len(names) != expected:
        raise ModelError(
            f"the masks of this {SYSTEM} have {len(names)} linear layers, those of the settings {expected}: "
            "another mask_estimator_depth"
        )


_RENAMED = [
    (r"^final_norm\.gamma$", "norm.gain"),
    (r"^layers\.", "stack.blocks."),
    (r"\.layers\.(\d+)\.0\.", r".layers.\1.attention."),
    (r"\.layers\.(\d+)\.1\.net\.", r".layers.\1.feed_forward.net."),
    (r"\.net\.0\.gamma$", ".norm.gain"),
    (r"\.net\.1\.", ".expand."),
    (r"\.net\.4\.", ".contract."),
    (r"\.gamma$", ".gain"),
    (r"\.to_qkv(\.0)?\.", ".qkv."),
    (r"\.to_gates\.", ".gates."),
    (r"\.to_out\.\d\.", ".out."),
]


def _translate(network: BSRoFormer | MelBandRoFormer, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names, join the bands of one width, and keep one table of positions for each axis."""
    linear = network.stack.blocks[0].linear is not None
    parts = ("linear", "time", "frequency") if linear else ("time", "frequency")
    ours = {}
    for name, value in state.items():
        if name.startswith(("band_split.", "mask_estimators.")) or "_embed." in name:
            continue
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        name = re.sub(
            r"^(stack\.blocks\.\d+)\.(\d+)\.", lambda found: f"{found[1]}.{parts[int(found[2])]}.", name
        )
        ours[name] = value
    for axis, place in (("frame", parts.index("time")), ("band", parts.index("frequency"))):
        ours |= _positions(state, f"layers.0.{place}.layers.0.0.", f"stack.{axis}_positions.")
    return ours | _bands(network, state)


def _positions(state: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    if (name := f"{theirs}rotary_embed.freqs") in state:
        return {f"{ours}frequencies": state[name]}
    return {
        f"{ours}frequencies": state[f"{theirs}pope_embed.inv_freqs"],
        f"{ours}bias": state[f"{theirs}pope_embed.bias"],
    }


def _bands(network: BSRoFormer | MelBandRoFormer, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the bands, stacked as those of one width."""
    split, groups = "band_split.to_features", list(network.band_split.bands.groups.values())
    ours = {}
    for group, bands in enumerate(groups):
        ours[f"band_split.gains.{group}"] = torch.stack([state[f"{split}.{band}.0.gamma"] for band in bands])
        ours |= _linears(state, f"band_split.linears.{group}", [f"{split}.{band}.1" for band in bands])
    count, layers = len(network.band_split.bands.widths), network.mask_layers - 1
    for source in range(len(network.masks)):
        theirs = f"mask_estimators.{source}.to_freqs"
        for layer in range(layers):
            names = [f"{theirs}.{band}.0.{2 * layer}" for band in range(count)]
            ours |= _linears(state, f"masks.{source}.hidden.{layer}", names)
        for group, bands in enumerate(groups):
            names = [f"{theirs}.{band}.0.{2 * layers}" for band in bands]
            ours |= _linears(state, f"masks.{source}.linears.{group}", names)
    return ours


def _linears(state: Mapping[str, Tensor], ours: str, theirs: Sequence[str]) -> dict[str, Tensor]:
    return {
        f"{ours}.weight": torch.stack([state[f"{name}.weight"].mT for name in theirs]),
        f"{ours}.bias": torch.stack([state[f"{name}.bias"] for name in theirs]),
    }
