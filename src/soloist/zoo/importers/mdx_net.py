"""MDX-Net: ONNX files of KUIELab and Ultimate Vocal Remover, and Lightning checkpoints of their training.

A graph with other layers than those of MDX-Net is run by ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from soloist.config import configuration_of, read_yaml
from soloist.errors import ModelError
from soloist.networks import ConvTDFNet, OnnxNetwork
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

_FRAMES = 256
"""Frames of a chunk, where the file does not say."""

_MUTED = 3
"""Lowest bins that Ultimate Vocal Remover sets to zero."""


class MDXNetImporter(Importer):
    """Importer of MDX-Net: one target, its level corrected by the gain that is known for the file."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of an ONNX file, or of a checkpoint of the training.

        Raises:
            ModelError: The graph does not estimate spectrograms of stereo, its facts are not known, or it
                needs ONNX Runtime, which is not installed.
        """
        metadata = checkpoint.metadata if isinstance(checkpoint.metadata, Mapping) else {}
        graph = metadata.get("onnx")
        if isinstance(graph, Mapping):
            _check_input(graph["input"])
            facts = _facts(checkpoint.options, str(graph["tail_hash"]))
            try:
                layout = read_graph(graph, checkpoint.state)
            except ModelError:
                return _run_by_onnx_runtime(graph, checkpoint.state, facts)
            frames = int(graph["input"][3]) or _FRAMES
        elif {"ds.0.0.weight", "us.0.0.weight", "final_conv.0.weight"} <= checkpoint.state.keys():
            hyper = metadata.get("hyper_parameters")
            stored = hyper if isinstance(hyper, Mapping) else {}
            layout = read_state(checkpoint.state)
            facts = {"muted": 0, **_given(stored), **_given(checkpoint.options)}
            _require(facts)
            frames = int(stored.get("dim_t", _FRAMES))
        else:
            return None
        config = from_layout(layout, facts, frames)
        separator = make_separator(config, layout, float(facts.get("gain", 1.0)))
        title = f"{separator.sources[0].capitalize()}, by a U-Net on spectrograms"
        return ImportedModel(separator, config, {**CARD, "title": title})


def _check_input(shape: Sequence[int]) -> None:
    """Refuse graphs on other things than spectrograms of stereo.

    Raises:
        ModelError: The axes are others.
    """
    if len(shape) != 4 or shape[1] != 4 or shape[2] < 1 or shape[0] > 1:
        raise ModelError(
            f"the input of this ONNX file is {list(shape)}, not (batch, 4, bins, frames): only graphs on "
            "spectrograms of stereo, with real and imaginary parts as planes, are supported"
        )


def _run_by_onnx_runtime(
    graph: Mapping[str, Any], weights: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> ImportedModel:
    """Build the separator of a graph that ONNX Runtime runs, and run it once.

    Raises:
        ModelError: ONNX Runtime is not installed or does not support the graph, or its output has another
            size.
    """
    content = Path(graph["path"]).read_bytes()
    _, _, bins, frames = map(int, graph["input"])
    network = configuration_of(
        OnnxNetwork,
        size=len(content),
        num_bins=int(facts["n_fft"]) // 2 + 1,
        num_input_bins=bins,
        num_muted_bins=facts.get("muted", _MUTED),
        frames=frames or None,
        gain=float(facts.get("gain", 1.0)),
    )
    config = _separator(network, facts, frames or _FRAMES)
    separator = build_spectral(config, "this ONNX file")
    separator.network.get_buffer("file").copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    separator(torch.zeros(1, 2, separator.chunk_length))
    title = f"{separator.sources[0].capitalize()}, by a network in an ONNX file"
    parameters = sum(value.numel() for value in weights.values() if value.is_floating_point())
    card = {"system": "ONNX", "title": title, "licence": {"weights": "not stated"}, "parameters": parameters}
    return ImportedModel(separator, config, card)


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
    network = configuration_of(
        ConvTDFNet,
        num_bins=int(facts["n_fft"]) // 2 + 1,
        num_muted_bins=facts.get("muted", _MUTED),
        **layout.sizes,
    )
    return _separator(network, facts, frames)


def _separator(network: Mapping[str, Any], facts: Mapping[str, Any], frames: int) -> dict[str, Any]:
    n_fft, hop_length = int(facts["n_fft"]), int(facts.get("hop_length", HOP))
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(STFT, n_fft=n_fft, hop_length=hop_length),
        network=network,
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
