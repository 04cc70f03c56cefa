"""MDX-Net: ONNX files of KUIELab and Ultimate Vocal Remover, and Lightning checkpoints of their training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from soloist.config import configuration_of, read_yaml
from soloist.errors import ModelError
from soloist.networks import ConvTDFNet
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT
from soloist.zoo.importers.importer import (
    ImportedModel,
    Importer,
    PublishedCheckpoint,
    build_spectral,
    load_weights,
)
from soloist.zoo.importers.mdx_net_layers import SYSTEM, NetworkLayout, read_graph, read_state

CARD = {
    "system": SYSTEM,
    "licence": {"code": "MIT", "weights": "not stated"},
    "citation": (
        "Minseok Kim, Woosung Choi, Jaehwa Chung, Daewon Lee, Soonyoung Jung: KUIELab-MDX-Net: A Two-Stream "
        "Neural Network for Music Demixing. MDX Workshop at ISMIR 2021, arXiv 2111.12203."
    ),
}

HOP = 1024
"""Hop of all published models, samples."""

_MUTED = 3
"""Lowest bins that Ultimate Vocal Remover sets to zero."""


class MDXNetImporter(Importer):
    """Importer of MDX-Net: one target, its level corrected by the gain that is known for the file."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of an ONNX file, or of a checkpoint of the training.

        Raises:
            ModelError: The graph is not that of an MDX-Net, or its facts are not known.
        """
        metadata = checkpoint.metadata if isinstance(checkpoint.metadata, Mapping) else {}
        graph = metadata.get("onnx")
        if isinstance(graph, Mapping):
            layout = read_graph(graph, checkpoint.state)
            facts = _facts(checkpoint.options, str(graph["tail_hash"]))
            frames = int(graph["input"][3]) or 256
        elif {"ds.0.0.weight", "us.0.0.weight", "final_conv.0.weight"} <= checkpoint.state.keys():
            hyper = metadata.get("hyper_parameters")
            stored = hyper if isinstance(hyper, Mapping) else {}
            layout = read_state(checkpoint.state)
            facts = {"muted": 0, **_given(stored), **_given(checkpoint.options)}
            _require(facts)
            frames = int(stored.get("dim_t", 256))
        else:
            return None
        config = from_layout(layout, facts, frames)
        separator = make_separator(config, layout, float(facts.get("gain", 1.0)))
        title = f"{separator.sources[0].capitalize()}, by a U-Net on spectrograms"
        return ImportedModel(separator, config, {**CARD, "title": title})


def make_separator(config: Mapping[str, Any], layout: NetworkLayout, gain: float) -> SpectralSeparator:
    """Build a separator with the weights of a network, whose output is multiplied by a gain.

    Raises:
        ModelError: The weights do not fit.
    """
    separator = build_spectral(config, SYSTEM)
    last = {name: layout.weights[name] * gain for name in ("exit.weight", "exit.bias")}
    load_weights(separator.network, {**layout.weights, **last}, f"the {SYSTEM} of the settings")
    return separator


def from_layout(layout: NetworkLayout, facts: Mapping[str, Any], frames: int) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator.

    Args:
        layout: Sizes of the network.
        facts: `n_fft`, and optionally `hop_length`, `stem` and the lowest bins that are `muted`.
        frames: Frames of a chunk.
    """
    n_fft = int(facts["n_fft"])
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(STFT, n_fft=n_fft, hop_length=int(facts.get("hop_length", HOP))),
        network=configuration_of(
            ConvTDFNet,
            num_bins=n_fft // 2 + 1,
            num_muted_bins=facts.get("muted", _MUTED),
            **layout.sizes,
        ),
        sources=[str(facts.get("stem", "vocals"))],
        sample_rate=44100,
        plane_order="channels",
        chunk_frames=frames,
    )


@cache
def _known() -> dict[str, Any]:
    """Facts about published files, by the hash of their ends."""
    return read_yaml(Path(__file__).with_name("mdx_net_models.yaml"))


def _facts(options: Mapping[str, Any], tail_hash: str) -> dict[str, Any]:
    known = _known().get(tail_hash, {})
    # Its authors neither mute bins nor correct levels.
    published = {"muted": 0, "gain": 1.0} if str(known.get("name", "")).startswith("kuielab") else {}
    facts = {**known, **published, **_given(options)}
    if "n_fft" not in facts:
        raise ModelError(
            f"no facts are known about this {SYSTEM} (hash {tail_hash}): write n_fft and stem into a YAML "
            "beside it, under the same name, or give it by --config"
        )
    return facts


_NAMES = {
    "n_fft": "n_fft",
    "mdx_n_fft_scale_set": "n_fft",
    "hop_length": "hop_length",
    "stem": "stem",
    "primary_stem": "stem",
    "target_name": "stem",
    "gain": "gain",
    "compensate": "gain",
    "muted": "muted",
}
"""Names of facts, here and in the tables of Ultimate Vocal Remover."""


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    facts = {_NAMES[key]: value for key, value in options.items() if key in _NAMES}
    return {key: value.lower().replace(" ", "_") if key == "stem" else value for key, value in facts.items()}


def _require(facts: Mapping[str, Any]) -> None:
    if "n_fft" not in facts:
        raise ModelError(
            f"this {SYSTEM} does not say its n_fft: write it into a YAML beside it, under the same name, or "
            "give it by --config"
        )
