"""UL-UNAS (github.com/Xiaobin-Rong/ul-unas) of any table of blocks: trainings, and bare state dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from soloist.config import configuration_of
from soloist.networks import ULUNAS, UnasBlock
from soloist.networks.ulunas import BlockKind
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT
from soloist.zoo.importers.gtcrn import CHUNK_FRAMES, RENAMED_BANDS_AND_PATHS, rename
from soloist.zoo.importers.importer import (
    ImportedModel,
    Importer,
    PublishedCheckpoint,
    build_spectral,
    load_weights,
    wrap_denoiser,
)

SYSTEM = "UL-UNAS"

CARD = {
    "system": SYSTEM,
    "title": "Speech from noise, by a network that an architecture search chose",
    "licence": {"code": "MIT"},
    "citation": (
        "Xiaobin Rong, Leyan Hu, Yuchen Sun, Tianchi Sun, Long Wang, Yuxiang Hu, Jing Chen, Jing Lu. "
        "UL-UNAS: Ultra-Lightweight U-Nets for Real-Time Speech Enhancement via Network Architecture "
        "Search. 2025."
    ),
}

_MARK = "encoder.en_convs.0.ops.4.ta_gru.weight_ih_l0"


class ULUNASImporter(Importer):
    """Importer of UL-UNAS, whose blocks the names and shapes tell."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Raises:
            ModelError: The names are those of a UL-UNAS, but the weights do not fit.
        """
        if _MARK not in checkpoint.state:
            return None
        config = from_blocks(blocks_of(checkpoint.state))
        return wrap_denoiser(make_separator(config, checkpoint.state), config, CARD)


def from_blocks(blocks: Sequence[UnasBlock]) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator with these blocks."""
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(STFT, n_fft=512, hop_length=256),
        network=configuration_of(ULUNAS, blocks=[_plain(block) for block in blocks]),
        sources=["speech"],
        sample_rate=16000,
        channels=1,
        representation="magnitude",
        mode="masking",
        chunk_frames=CHUNK_FRAMES,
    )


def make_separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> SpectralSeparator:
    """Build a separator with the weights of a network.

    Args:
        config: `class_path` and `init_args` of the separator.
        state: Weights under the original's names.

    Raises:
        ModelError: The weights do not fit.
    """
    separator = build_spectral(config, SYSTEM)
    load_weights(separator.network, _translate(state, blocks_of(state)), SYSTEM)
    return separator


def _plain(block: UnasBlock) -> dict[str, Any]:
    return configuration_of(UnasBlock, **{**asdict(block), "kernel": list(block.kernel)})


def blocks_of(state: Mapping[str, Tensor]) -> list[UnasBlock]:
    """Read the table of blocks from names and shapes, under the original's names."""
    blocks: list[UnasBlock] = []
    bands = 129
    while (found := _find(state, f"encoder.en_convs.{len(blocks)}.", _CONVS)) is not None:
        name, conv = found
        begin, part = name.rsplit(".", 3)[0], name.split(".")[3]
        first = _find(state, f"{begin}.", _FIRST_CONVS)
        kind: BlockKind = "full" if first is None else "inverted" if "pconv1" in first[0] else "separable"
        seen = (conv if first is None else first[1]).shape[1]
        inputs = blocks[-1].channels if blocks else 1
        after = state[f"{begin}.{part}.3.affine_weight"].shape[1]
        stride = round((bands - 1) / max(1, after - 1))
        blocks.append(UnasBlock(kind, len(conv), (conv.shape[2], conv.shape[3]), stride, inputs // seen))
        bands = after
    return blocks


_CONVS = ("ops.1.weight", "dconv.1.weight")
_FIRST_CONVS = ("pconv.0.weight", "pconv1.0.weight")


def _find(state: Mapping[str, Tensor], begin: str, ends: Sequence[str]) -> tuple[str, Tensor] | None:
    return next(((begin + end, state[begin + end]) for end in ends if begin + end in state), None)


_RENAMED = [
    *RENAMED_BANDS_AND_PATHS,
    (r"^dpgrnn\.", "dual_paths."),
    (r"^encoder\.en_convs\.", "encoder."),
    (r"^decoder\.de_convs\.", "decoder."),
    (r"\.(ops|dconv)\.1\.", ".conv.conv."),
    (r"\.(ops|dconv)\.2\.", ".conv.norm."),
    (r"\.(ops|dconv)\.3\.", ".activation."),
    (r"\.(ops|dconv)\.4\.", ".gates."),
    (r"\.pconv1?\.0\.", ".first.conv."),
    (r"\.pconv1?\.1\.", ".first.norm."),
    (r"\.pconv1?\.2\.", ".first_activation."),
    (r"\.pconv2\.0\.", ".second.conv."),
    (r"\.pconv2\.1\.", ".second.norm."),
    (r"\.pconv2\.2\.", ".gates."),
    (r"\.ta_gru\.", ".of_time.gru."),
    (r"\.ta_fc\.", ".of_time.linear."),
    (r"\.fa\.gru\.", ".of_bands.gru."),
    (r"\.fa\.fc\.", ".of_bands.linear."),
    (r"\.affine_weight$", ".gain"),
    (r"\.affine_bias$", ".shift"),
    (r"\.slope_weight$", ".activation.weight"),
]


def _translate(state: Mapping[str, Tensor], blocks: Sequence[UnasBlock]) -> dict[str, Tensor]:
    translated = {}
    for name, value in state.items():
        conv = re.fullmatch(r"decoder\.de_convs\.(\d+)\.(ops|dconv)\.1\.weight", name)
        if conv and blocks[-1 - int(conv[1])].stride == 1:
            # Transposed with padding: a causal convolution whose taps are mirrored.
            value = value.flip(2, 3)
        value = value[:, None] if re.search(r"\.affine_(weight|bias)$", name) else value
        translated[rename(name, _RENAMED)] = value
    return translated
