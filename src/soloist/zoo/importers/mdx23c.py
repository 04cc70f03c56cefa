"""MDX23C: TFC-TDF v3 of kuielab/sdx23, as Music-Source-Separation-Training and UVR train and publish it.

The original's feature maps are `(batch, channels, frames, frequency)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import TFCTDFv3
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

SYSTEM = "MDX23C"

CARD = {
    "system": "MDX23C (TFC-TDF v3)",
    "licence": {"code": "MIT", "weights": "not stated"},
    "citation": (
        "Minseok Kim, Jun Hyung Lee, Soonyoung Jung: Sound Demixing Challenge 2023 Music Demixing Track "
        "Technical Report: TFC-TDF-UNet v3. arXiv 2306.09382."
    ),
}

_MODEL_KEYS = (
    "act",
    "bottleneck_factor",
    "growth",
    "norm",
    "num_blocks_per_scale",
    "num_channels",
    "num_scales",
    "num_subbands",
    "scale",
)
_UNUSED = ("name",)
"""Setting of some published files that names another checkpoint."""


class MDX23CImporter(Importer):
    """Importer of MDX23C, with the settings of its YAML."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Raises:
            ModelError: The names are those of an MDX23C, but its settings are missing, unknown or do not fit.
        """
        if not {"first_conv.weight", "bottleneck_block.blocks.0.tfc1.2.weight"} <= checkpoint.state.keys():
            return None
        config = from_options(checkpoint.options)
        separator = make_separator(config, checkpoint.state)
        title = f"{', '.join(separator.sources).capitalize()}, by a U-Net on sub-bands of the spectrogram"
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


def from_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator for the settings of a YAML.

    Raises:
        ModelError: A setting is missing or unknown, or asks for other than two channels.
    """
    audio, model = section(options, "audio", SYSTEM), section(options, "model", SYSTEM)
    check_model_keys(model, (*_MODEL_KEYS, *_UNUSED), SYSTEM)
    if (channels := audio.get("num_channels", 2)) != 2:
        raise ModelError(f"an {SYSTEM} of {channels} channels is not possible: its output is stereo")
    sources = instruments(options, SYSTEM)
    try:
        n_fft, hop = audio["n_fft"], audio["hop_length"]
        return configuration_of(
            SpectralSeparator,
            transform=configuration_of(STFT, n_fft=n_fft, hop_length=hop),
            network=configuration_of(
                TFCTDFv3,
                output_channels=4 * len(sources),
                num_bins=n_fft // 2 + 1,
                num_input_bins=audio["dim_f"],
                num_subbands=model["num_subbands"],
                internal_channels=model["num_channels"],
                growth=model["growth"],
                num_scales=model["num_scales"],
                scale=list(model["scale"]),
                blocks_per_scale=model["num_blocks_per_scale"],
                bottleneck_factor=model["bottleneck_factor"],
                **_norm(model.get("norm")),
                **_activation(model["act"]),
            ),
            sources=sources,
            sample_rate=audio.get("sample_rate", 44100),
            plane_order="channels",
            chunk_frames=(chunk_length(options, SYSTEM) or hop * 255) // hop + 1,
            cutting=cutting(options, SYSTEM),
        )
    except KeyError as error:
        raise ModelError(f"the settings of this {SYSTEM} have no {error}") from None


def _norm(text: str | None) -> dict[str, Any]:
    """Options for the original's name of a norm; any other name means none."""
    if text is not None and (match := re.fullmatch(r"GroupNorm(\d+)", text)):
        return {"norm": "group", "norm_groups": int(match.group(1))}
    names = {"BatchNorm": "batch", "InstanceNorm": "instance"}
    return {"norm": names.get(text or "", "none")}


def _activation(text: str) -> dict[str, Any]:
    if match := re.fullmatch(r"elu([\d.]+)", text):
        return {"activation": "elu", "elu_alpha": float(match.group(1))}
    return {"activation": text}


_RENAMED = [
    (r"^first_conv\.", "entry."),
    (r"^final_conv\.", "exit."),
    (r"^(en|de)coder_blocks\.(\d+)\.tfc_tdf\.blocks\.", r"\1coders.\2."),
    (r"^bottleneck_block\.blocks\.", "middle."),
    (r"^encoder_blocks\.(\d+)\.downscale\.conv\.", r"downs.\1."),
    (r"^decoder_blocks\.(\d+)\.upscale\.conv\.", r"ups.\1."),
    (r"^(downs|ups)\.(\d+)\.0\.", r"\1.\2.0.norm."),
    (r"^(downs|ups)\.(\d+)\.2\.", r"\1.\2.1."),
    (r"\.tfc1\.0\.", ".before_first.norm."),
    (r"\.tfc1\.2\.", ".first."),
    (r"\.tdf\.0\.", ".before_narrow.norm."),
    (r"\.tdf\.2\.", ".narrow."),
    (r"\.tdf\.3\.", ".before_wide.norm."),
    (r"\.tdf\.5\.", ".wide."),
    (r"\.tfc2\.0\.", ".before_second.norm."),
    (r"\.tfc2\.2\.", ".second."),
]


def _translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names and axes: kernels of the original are `(frames, bins)`."""
    ours = {}
    for name, value in state.items():
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        ours[name] = value.transpose(-1, -2).contiguous() if value.ndim == 4 else value
    return ours
