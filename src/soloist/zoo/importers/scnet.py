"""SCNet of starrytong/SCNet and of Music-Source-Separation-Training, with and without masks.

The code of starrytong/SCNet since September 2024 normalises the spectrogram; no weight tells. A checkpoint is
taken as trained without, unless the model settings say `normalize_spectrum: true`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import PathAttention, SCNet
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT
from soloist.zoo.importers.importer import (
    ImportedModel,
    Importer,
    PublishedCheckpoint,
    build_spectral,
    load_weights,
)
from soloist.zoo.importers.msst_options import (
    check_model_keys,
    chunk_length,
    cutting,
    instruments,
    is_normalized,
    section,
)

SYSTEM = "SCNet"

CARD = {
    "system": SYSTEM,
    "licence": {"code": "MIT", "weights": "not stated"},
    "citation": (
        "Weinan Tong, Jiaxu Zhu, Jun Chen, Shiyin Kang, Tao Jiang, Yang Li, Zhiyong Wu, Helen Meng: SCNet: "
        "Sparse Compression Network for Music Source Separation. ICASSP 2024."
    ),
}

_DEFAULTS: dict[str, Any] = {
    "sources": ["drums", "bass", "other", "vocals"],
    "audio_channels": 2,
    "dims": [4, 32, 64, 128],
    "nfft": 4096,
    "hop_size": 1024,
    "win_size": 4096,
    "normalized": True,
    "band_SR": [0.175, 0.392, 0.433],
    "band_stride": [1, 4, 16],
    "band_kernel": [3, 4, 16],
    "conv_depths": [3, 2, 1],
    "compress": 4,
    "conv_kernel": 3,
    "num_dplayer": 6,
    "expand": 1,
    "normalize_spectrum": False,
}
"""Settings of the original, with its defaults."""

_ATTENTION: dict[str, Any] = {
    "tran_rotary_embedding_dim": 64,
    "tran_depth": 1,
    "tran_heads": 8,
    "tran_dim_head": 64,
    "tran_attn_dropout": 0.0,
    "tran_ff_dropout": 0.0,
    "tran_flash_attn": False,
}
"""Settings of transformers in place of recurrent layers."""

_FIRST_ATTENTION = "separation_net.dp_modules.0.time_layer.layers.0.0.to_qkv.weight"


class SCNetImporter(Importer):
    """Importer of SCNet, with the settings of its YAML."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Raises:
            ModelError: The names are those of an SCNet, but its settings are missing, unknown or do not fit.
        """
        if not {"encoder.0.SDlayer.convs.0.weight", "encoder.0.globalconv.weight"} <= checkpoint.state.keys():
            return None
        config = from_options(checkpoint.options, checkpoint.state)
        separator = make_separator(config, checkpoint.state)
        title = f"{', '.join(separator.sources).capitalize()}, by a network on compressed bands"
        return ImportedModel(separator, config, {**CARD, "title": title})


def make_separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> SpectralSeparator:
    """Build a separator with the weights of a network.

    Args:
        config: `class_path` and `init_args` of the separator.
        state: Weights under the original's names.

    Raises:
        ModelError: The weights do not fit the settings.
    """
    separator = build_spectral(config, SYSTEM)
    load_weights(separator.network, _translate(state), f"the {SYSTEM} of the settings")
    return separator


def from_options(options: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator for the settings of a YAML.

    Args:
        options: The settings, of which `model` holds those of the network.
        state: Weights under the original's names, which tell a network with masks.

    Raises:
        ModelError: A setting is missing or unknown, or the sources are not the instruments.
    """
    model = section(options, "model", SYSTEM)
    attentive = _FIRST_ATTENTION in state
    known = {**_DEFAULTS, **(_ATTENTION if attentive else {})}
    check_model_keys(model, known, SYSTEM)
    settings = {**known, **model}
    # The network's own order is that of its output.
    sources = [str(name) for name in settings["sources"]]
    if "training" in options and sorted(named := instruments(options, SYSTEM)) != sorted(sources):
        raise ModelError(f"the sources of this {SYSTEM} ({', '.join(sources)}) are not {', '.join(named)}")
    hop, masked = settings["hop_size"], "pos_embed_f" in state
    chunk = (chunk_length(options, SYSTEM) if "audio" in options else None) or 11 * 44100
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(
            STFT,
            n_fft=settings["nfft"],
            hop_length=hop,
            window="hann" if masked else "rectangular",
            window_length=settings["win_size"],
            orthonormal=bool(settings["normalized"]),
        ),
        network=_network(settings, len(sources), masked=masked, attentive=attentive),
        sources=sources,
        sample_rate=options.get("audio", {}).get("sample_rate", 44100),
        channels=settings["audio_channels"],
        plane_order="channels",
        mode="complex_masking" if masked else "mapping",
        # As many frames as the original makes of a chunk, an even number.
        chunk_frames=-(-(-(-chunk // hop) + 1) // 2) * 2,
        normalization="track" if is_normalized(options) else "none",
        cutting=cutting(options, SYSTEM, _padding(chunk, hop)) if "audio" in options else None,
    )


def _padding(samples: int, hop: int) -> int:
    """Zeros that the original adds to a chunk, for whole hops and an even number of frames."""
    padding = hop - samples % hop
    return padding if (samples + padding) // hop % 2 else padding + hop


def _network(
    settings: Mapping[str, Any], num_sources: int, *, masked: bool, attentive: bool
) -> dict[str, Any]:
    low, middle, *_ = settings["band_SR"]
    return configuration_of(
        SCNet,
        num_sources=num_sources,
        dims=list(settings["dims"]),
        num_bins=settings["nfft"] // 2 + 1,
        band_ratios=[low, middle],
        band_strides=list(settings["band_stride"]),
        band_kernels=list(settings["band_kernel"]),
        conv_depths=list(settings["conv_depths"]),
        compress=settings["compress"],
        conv_kernel=settings["conv_kernel"],
        num_dual_paths=settings["num_dplayer"],
        expand=settings["expand"],
        attention=_attention(settings) if attentive else None,
        masked=masked,
        normalized=bool(settings["normalize_spectrum"]),
    )


def _attention(settings: Mapping[str, Any]) -> dict[str, Any]:
    head, rotated = settings["tran_dim_head"], settings["tran_rotary_embedding_dim"]
    if head != rotated:
        raise ModelError(
            f"an {SYSTEM} whose positions turn {rotated} of the {head} features of a head "
            "(tran_rotary_embedding_dim) is not supported"
        )
    return configuration_of(
        PathAttention,
        depth=settings["tran_depth"],
        heads=settings["tran_heads"],
        head_dim=head,
        dropout=settings["tran_attn_dropout"],
    )


_FRAME_MODULE = {"0": "norm", "1": "gated", "3": "depthwise", "4": "hidden_norm", "6": "output"}
_GAINS = {"weight": "gain", "bias": "shift"}
_PATHS = {"0": "frequency", "1": "time"}

_RENAMED = [
    (r"^encoder\.(\d+)\.SDlayer\.convs\.", r"encoders.\1.compressions."),
    (r"^encoder\.(\d+)\.globalconv\.", r"encoders.\1.mix."),
    (r"^decoder\.(\d+)\.0\.conv\.", r"decoders.\1.mix."),
    (r"^decoder\.(\d+)\.1\.convtrs\.", r"decoders.\1.expansions."),
    (r"^mask_layer\.", "mask."),
    (r"^pos_embed_f$", "position"),
]

_TRANSFORMER = [
    (r"\.layers\.(\d+)\.0\.", r".layers.\1.attention."),
    (r"\.layers\.(\d+)\.1\.net\.0\.gamma$", r".layers.\1.feed_forward.norm.gain"),
    (r"\.layers\.(\d+)\.1\.net\.1\.", r".layers.\1.feed_forward.expand."),
    (r"\.layers\.(\d+)\.1\.net\.4\.", r".layers.\1.feed_forward.contract."),
    (r"\.gamma$", ".gain"),
    (r"\.to_qkv\.", ".qkv."),
    (r"\.to_gates\.", ".gates."),
    (r"\.to_out\.0\.", ".out."),
]


def _translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Positions are the same in all layers; the first convolution of transformers is never used.
    unused = re.compile(r"first_conv\.weight|.*layers\.[1-9]\d*\.0\.rotary_embed\.freqs")
    return {
        _renamed(name): value[:, :, None] if value.ndim == 3 else value
        for name, value in state.items()
        if not unused.fullmatch(name)
    }


def _renamed(name: str) -> str:
    module = r"encoder\.(\d+)\.conv_modules\.(\d+)\.layers\.(\d+)\.(\d)\.(\w+)"
    if match := re.fullmatch(module, name):
        block, band, depth, layer, kind = match.groups()
        part = _FRAME_MODULE.get(layer, layer)
        kind = _GAINS[kind] if part.endswith("norm") else kind
        return f"encoders.{block}.refinements.{band}.{depth}.{part}.{kind}"
    path = r"separation_net\.dp_modules\.(\d+)\.(lstm|linear|norm)_layers\.([01])\.(\w+)"
    if match := re.fullmatch(path, name):
        index, part, axis, kind = match.groups()
        where = f"{_PATHS[axis]}_norm" if part == "norm" else f"{_PATHS[axis]}_path.{part}"
        return f"dual_paths.{index}.{where}.{kind}"
    layer = r"separation_net\.dp_modules\.(\d+)\.(freq|time)_layer\.(.+)"
    if match := re.fullmatch(layer, name):
        index, axis, rest = match.groups()
        path = f"dual_paths.{index}.{'frequency' if axis == 'freq' else axis}_path"
        if rest == "layers.0.0.rotary_embed.freqs":
            return f"{path}.positions.frequencies"
        name = f"{path}.transformer.{rest}"
    for pattern, replacement in [*_RENAMED, *_TRANSFORMER]:
        name = re.sub(pattern, replacement, name)
    return name
