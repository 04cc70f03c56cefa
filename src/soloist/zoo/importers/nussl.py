"""nussl 1.1.9: saved models with a recurrent network on spectrograms.

The metadata of a file decide: weights tell neither activations nor sample rates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from einops import EinopsError
from torch import Tensor

from soloist.errors import ModelError, one_line
from soloist.networks.layers.convolutions import Activation, EmbeddingActivation
from soloist.separators import SpectralSeparator, build_separator
from soloist.separators.clustering_separator import MaskActivation
from soloist.separators.training_free.mask_separator import numbered_sources
from soloist.transforms import Window
from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights
from soloist.zoo.importers.nussl_graph import NusslModule, NusslModules, NusslSizes
from soloist.zoo.importers.nussl_weights import translate

CHUNK_FRAMES = 1250
"""Frames that are given to the network at once, which sees as far as these go."""

CARD = {
    "system": "nussl",
    "licence": {"code": "MIT"},
    "citation": (
        "Ethan Manilow, Prem Seetharaman, Bryan Pardo. The Northwestern University Source Separation "
        "Library. ISMIR 2018."
    ),
}


_FUNCTIONS: tuple[EmbeddingActivation, ...] = ("sigmoid", "tanh", "relu", "softmax")
_NORMS: dict[str, EmbeddingActivation] = {"unit_norm": "unit", "l1_norm": "l1"}


class NusslImporter(Importer):
    """Importer of the files that nussl's `SeparationModel.save` writes."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a saved network.

        The file holds, at any depth, the `config` of the network, the `sample_rate` in Hz and the
        `stft_params`; if these are missing, they are nussl's defaults for the number of bins.

        Raises:
            ModelError: The network is none that Soloist has, the file does not say its sample rate, or there
                are weights without their configuration.
        """
        graph = _graph(checkpoint.metadata)
        if graph is None:
            if "layers.recurrent_stack.rnn.weight_ih_l0" in checkpoint.state:
                raise ModelError(
                    "these are weights of nussl's without their configuration: import the file that its "
                    "SeparationModel.save wrote"
                )
            return None
        try:
            modules = NusslModules.of(graph)
            sizes = NusslSizes.of(modules, _find(checkpoint.metadata, "num_sources") or 2)
            config = _config(modules, sizes, checkpoint.metadata)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the configuration of nussl's model is damaged: {one_line(error)}") from error
        separator = build_separator(config, "the configuration of nussl's model")
        assert isinstance(separator, SpectralSeparator)
        _load(separator, modules, sizes, checkpoint.state)
        return ImportedModel(separator, config, _card(modules))


def named_activations(named: str | Sequence[str]) -> list[EmbeddingActivation]:
    """Activations of an embedding under Soloist's names: at most one function, then at most one norm.

    Args:
        named: A list of nussl's names, or a text that contains some.
    """
    function = [name for name in _FUNCTIONS if name in named][:1]
    norm = [ours for theirs, ours in _NORMS.items() if theirs in named][:1]
    return function + norm


def _load(
    separator: SpectralSeparator, modules: NusslModules, sizes: NusslSizes, state: Mapping[str, Tensor]
) -> None:
    weights = {name.removeprefix("layers."): value for name, value in state.items()}
    try:
        translated = translate(modules, sizes, weights)
    except KeyError as error:
        raise ModelError(f"nussl's model is incomplete: it has no {error}") from None
    except (RuntimeError, EinopsError) as error:
        raise ModelError(f"the weights do not fit nussl's model: {one_line(error)}") from None
    load_weights(separator.network, translated, "nussl's model")


def _graph(metadata: Any) -> Mapping[str, Any] | None:
    """Find the configuration of a network in the metadata; None if there is none."""
    graph = _find(metadata, "config")
    if isinstance(graph, str):
        try:
            graph = json.loads(graph)
        except ValueError:
            return None
    is_graph = isinstance(graph, Mapping) and {"modules", "connections"} <= graph.keys()
    return graph if is_graph else None


def _find(metadata: Any, key: str) -> Any:
    """Find the value of a key in nested mappings, nearest to the top; None if there is none."""
    level = [metadata]
    while level := [value for value in level if isinstance(value, Mapping)]:
        for mapping in level:
            if mapping.get(key) is not None:
                return mapping[key]
        level = [value for mapping in level for value in mapping.values()]
    return None


def _config(modules: NusslModules, sizes: NusslSizes, metadata: Mapping[str, Any]) -> dict[str, Any]:
    rate = _find(metadata, "sample_rate")
    if not isinstance(rate, int) or rate < 1:
        raise ModelError(
            "the file of nussl's model does not say its sample rate: add sample_rate, in Hz, to its metadata"
        )
    common = {
        "sources": list(numbered_sources(sizes.sources)),
        "sample_rate": rate,
        "channels": sizes.channels,
        "ordered": False,
        "representation": "decibels" if modules.decibels else "magnitude",
        "chunk_frames": CHUNK_FRAMES,
        "transform": {"class_path": "soloist.transforms.STFT", "init_args": _stft(sizes, metadata)},
    }
    if modules.embedding is None:
        kind = "SpectralSeparator"
        special: dict[str, Any] = {"mode": "masking"}
        network = _network(modules, sizes, _mask_activation(modules, [*get_args(Activation), "softmax"]))
    else:
        kind = "ClusteringSeparator"
        special = {
            "embedding_size": sizes.embedding,
            "embedding_activation": _activations(modules.embedding, get_args(EmbeddingActivation)),
            "mask_activation": _mask_activation(modules, get_args(MaskActivation)) if modules.mask else None,
            "inference": "masks" if modules.mask else "clusters",
        }
        network = _network(modules, sizes, "identity")
    return {
        "class_path": f"soloist.separators.{kind}",
        "init_args": {**common, **special, "network": network},
    }


def _network(modules: NusslModules, sizes: NusslSizes, activation: str) -> dict[str, Any]:
    stack = modules.stack.args
    if not stack.get("batch_first", True):
        raise ModelError("the recurrent stack of nussl's model runs over the batch (batch_first is false)")
    outputs = sizes.channels * (sizes.embedding + (sizes.sources if modules.mask else 0))
    init_args = {
        "inputs": sizes.channels,
        "outputs": outputs,
        "num_bins": sizes.bins,
        "hidden_size": stack["hidden_size"],
        "layers": stack["num_layers"],
        "cell": stack.get("rnn_type", "lstm"),
        "bidirectional": stack["bidirectional"],
        "dropout": stack["dropout"],
        "normalization": _normalization(modules.norm, sizes),
        "activation": activation,
    }
    return {"class_path": "soloist.networks.RecurrentNetwork", "init_args": init_args}


def _normalization(norm: NusslModule | None, sizes: NusslSizes) -> str:
    if norm is None:
        return "none"
    args = dict(norm.args)
    groups, axis = args.pop("num_features", 1), args.pop("feature_dim", 2)
    if norm.kind == "InstanceNorm" and (groups, axis) == (1, 2) and not args:
        return "instance"
    known = {"eps", "momentum", "affine"}
    if norm.kind == "BatchNorm" and groups in (1, sizes.bins) and axis == 2 and args.keys() <= known:
        return "batch" if groups == 1 else "bins"
    raise ModelError(f"nussl's model has a {norm.kind} that Soloist has not: {dict(norm.args)}")


def _mask_activation(modules: NusslModules, known: Sequence[str]) -> str:
    assert modules.mask is not None
    found = _activations(modules.mask, known) or ["identity"]
    if len(found) > 1 or found[0] not in known:
        raise ModelError(
            f"nussl's model has masks whose activation is {' and '.join(found)}, which Soloist has not"
        )
    return found[0]


def _activations(head: NusslModule, known: Sequence[str]) -> list[str]:
    """Activations after a head, by Soloist's names."""
    named = head.args["activation"]
    found: list[str] = [*named_activations(named)]
    strange = ["gated_tanh"] if "gated_tanh" in named else [name for name in found if name not in known]
    if strange:
        raise ModelError(
            f"nussl's model has a head {head.name} whose activation is {strange[0]}, which Soloist has not"
        )
    return found


def _stft(sizes: NusslSizes, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the transform; defaults are nussl's: a window `sqrt_hann`, a hop of a quarter."""
    n_fft = 2 * (sizes.bins - 1)
    stored = _find(metadata, "stft_params")
    names = ("window_length", "hop_length", "window_type")
    given = stored if isinstance(stored, Mapping) else dict(zip(names, stored or (), strict=False))
    length, hop, window = (given.get(name) for name in names)
    if length not in (None, n_fft):
        raise ModelError(f"nussl's model is of {sizes.bins} bins, and its windows have {length} samples")
    if window not in (None, *get_args(Window)):
        raise ModelError(
            f"nussl's model has the window {window!r}, which is none of {', '.join(get_args(Window))}"
        )
    return {
        "n_fft": n_fft,
        "hop_length": hop or n_fft // 4,
        "window": window or "sqrt_hann",
        "pad_mode": "constant",
        "scaled": True,
    }


def _card(modules: NusslModules) -> dict[str, Any]:
    how = "masks" if modules.mask else "clusters of embeddings"
    notes = "The file does not name the sources: they are numbered."
    if not modules.mask:
        notes += " Their number is two if the metadata do not hold num_sources."
    return {**CARD, "title": f"Sources by {how} from a recurrent network", "notes": notes}
