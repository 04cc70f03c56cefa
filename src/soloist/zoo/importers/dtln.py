"""DTLN: its port to PyTorch (github.com/lhwcv/DTLN_pytorch) of the weights of github.com/breizhn/DTLN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from soloist.config import configuration_of
from soloist.networks import DTLN
from soloist.separators import FilterbankSeparator, build_separator
from soloist.transforms import Framing
from soloist.zoo.importers.gtcrn import rename
from soloist.zoo.importers.importer import (
    ImportedModel,
    Importer,
    PublishedCheckpoint,
    load_weights,
    wrap_denoiser,
)

SYSTEM = "DTLN"

CARD = {
    "system": SYSTEM,
    "title": "Speech from noise, by LSTMs on the spectrum and on learned features",
    "licence": {"code": "MIT (weights), Apache-2.0 (port)"},
    "citation": (
        "Nils L. Westhausen, Bernd T. Meyer. Dual-Signal Transformation LSTM Network for Real-Time Noise "
        "Suppression. Interspeech 2020."
    ),
}

_MARKS = {"sep1.rnn1.weight_ih_l0", "encoder_norm1.gamma", "decoder_conv1.weight"}


class DTLNImporter(Importer):
    """Importer of DTLN, with a hop of a quarter of the frame."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Raises:
            ModelError: The names are those of a DTLN, but the weights do not fit.
        """
        if not checkpoint.state.keys() >= _MARKS:
            return None
        frame_length = len(checkpoint.state["decoder_conv1.weight"])
        config = from_sizes(frame_length, frame_length // 4)
        return wrap_denoiser(make_separator(config, checkpoint.state), config, CARD)


def from_sizes(frame_length: int, hop_length: int) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator with frames of so many samples."""
    return configuration_of(
        FilterbankSeparator,
        filterbank=configuration_of(Framing, frame_length=frame_length, hop_length=hop_length),
        network=configuration_of(DTLN, frame_length=frame_length),
        sources=["speech"],
        sample_rate=16000,
        ordered=True,
        mode="mapping",
        normalization="none",
        chunk_length=320000,
    )


def make_separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> FilterbankSeparator:
    """Build a separator with the weights of a network.

    Args:
        config: `class_path` and `init_args` of the separator.
        state: Weights under the original's names.

    Raises:
        ModelError: The weights do not fit.
    """
    separator = cast(FilterbankSeparator, build_separator(config, f"settings of {SYSTEM}"))
    weights = {rename(name, _RENAMED): value.squeeze() for name, value in state.items()}
    load_weights(separator.network, weights, SYSTEM)
    return separator


_RENAMED = [
    (r"^sep1\.", "spectral."),
    (r"^sep2\.", "learned."),
    (r"\.rnn1\.", ".first."),
    (r"\.rnn2\.", ".second."),
    (r"\.dense\.", ".linear."),
    (r"^encoder_conv1\.", "analysis."),
    (r"^decoder_conv1\.", "synthesis."),
    (r"^encoder_norm1\.gamma$", "norm.weight"),
    (r"^encoder_norm1\.beta$", "norm.bias"),
]
