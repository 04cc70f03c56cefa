"""GTCRN (github.com/Xiaobin-Rong/gtcrn): trainings, and bare state dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from soloist.config import configuration_of
from soloist.networks import GTCRN
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT
from soloist.zoo.importers.importer import (
    ImportedModel,
    Importer,
    PublishedCheckpoint,
    build_spectral,
    load_weights,
    wrap_denoiser,
)

SYSTEM = "GTCRN"

CARD = {
    "system": SYSTEM,
    "title": "Speech from noise, by a network of 24 thousand parameters",
    "licence": {"code": "MIT"},
    "citation": (
        "Xiaobin Rong, Tianchi Sun, Xu Zhang, Yuxiang Hu, Changbao Zhu, Jing Lu. GTCRN: A Speech Enhancement "
        "Model Requiring Ultralow Computational Resources. ICASSP 2024."
    ),
}

CHUNK_FRAMES = 1250
"""Frames of a chunk: 20 s, long against the memory of the recurrences."""

CONFIG = configuration_of(
    SpectralSeparator,
    transform=configuration_of(STFT, n_fft=512, hop_length=256, window="sqrt_hann"),
    network=configuration_of(GTCRN),
    sources=["speech"],
    sample_rate=16000,
    channels=1,
    mode="complex_masking",
    chunk_frames=CHUNK_FRAMES,
)
"""`class_path` and `init_args` of the separator."""

_MARK = "encoder.en_convs.2.tra.att_gru.weight_ih_l0"


class GTCRNImporter(Importer):
    """Importer of GTCRN, which has one size."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Raises:
            ModelError: The names are those of a GTCRN, but the weights do not fit.
        """
        if _MARK not in checkpoint.state:
            return None
        return wrap_denoiser(make_separator(CONFIG, checkpoint.state), CONFIG, CARD)


def make_separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> SpectralSeparator:
    """Build a separator with the weights of a network.

    Args:
        config: `class_path` and `init_args` of the separator.
        state: Weights under the original's names.

    Raises:
        ModelError: The weights do not fit.
    """
    separator = build_spectral(config, SYSTEM)
    load_weights(separator.network, _translate(state), SYSTEM)
    return separator


RENAMED_BANDS_AND_PATHS = [
    (r"^erb\.erb_fc\.weight$", "bands.gather"),
    (r"^erb\.ierb_fc\.weight$", "bands.scatter"),
    (r"\.(intra|inter)_rnn\.rnn1\.", r".\1.halves.0."),
    (r"\.(intra|inter)_rnn\.rnn2\.", r".\1.halves.1."),
    (r"\.(intra|inter)_fc\.", r".\1_linear."),
    (r"\.(intra|inter)_ln\.", r".\1_norm."),
]
"""Patterns from the authors' names to Soloist's, which UL-UNAS has in common."""

_RENAMED = [
    *RENAMED_BANDS_AND_PATHS,
    (r"^dpgrnn1\.", "dual_paths.0."),
    (r"^dpgrnn2\.", "dual_paths.1."),
    (r"^encoder\.en_convs\.([01])\.", r"down.\1."),
    (r"^decoder\.de_convs\.3\.", "up.0."),
    (r"^decoder\.de_convs\.4\.", "up.1."),
    (r"^encoder\.en_convs\.2\.", "encoder.0."),
    (r"^encoder\.en_convs\.3\.", "encoder.1."),
    (r"^encoder\.en_convs\.4\.", "encoder.2."),
    (r"^decoder\.de_convs\.", "decoder."),
    (r"\.tra\.att_gru\.", ".gate.gru."),
    (r"\.tra\.att_fc\.", ".gate.linear."),
    (r"\.point_conv1\.", ".widen.0.conv."),
    (r"\.point_bn1\.", ".widen.0.norm."),
    (r"\.point_act\.", ".widen.1."),
    (r"\.depth_conv\.", ".depthwise.0.conv."),
    (r"\.depth_bn\.", ".depthwise.0.norm."),
    (r"\.depth_act\.", ".depthwise.1."),
    (r"\.point_conv2\.", ".narrow.conv."),
    (r"\.point_bn2\.", ".narrow.norm."),
    (r"^(down|up)\.(\d)\.conv\.", r"\1.\2.0.conv."),
    (r"^(down|up)\.(\d)\.bn\.", r"\1.\2.0.norm."),
    (r"^(down|up)\.(\d)\.act\.", r"\1.\2.1."),
]


def _translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    translated = {}
    for name, value in state.items():
        if name.startswith("decoder.de_convs.") and name.endswith("_conv.weight"):
            # Transposed with padding: a causal convolution whose taps are mirrored.
            value = value.flip(2, 3)
        if name.startswith("decoder.de_convs.") and re.search(r"point_conv\d\.weight$", name):
            value = value.transpose(0, 1)
        translated[rename(name, _RENAMED)] = value
    return translated


def rename(name: str, patterns: list[tuple[str, str]]) -> str:
    """Apply patterns and their replacements to a name, in turn."""
    for pattern, replacement in patterns:
        name = re.sub(pattern, replacement, name)
    return name
