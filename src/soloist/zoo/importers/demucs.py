"""Demucs (github.com/facebookresearch/demucs): HTDemucs, HDemucs and the time-domain Demucs.

Switched on here: short mixtures are padded with zeros to the length of the training, which statistics,
attention and positions then count; for some files, a delay of the spectrogram's branch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError, one_line
from soloist.networks import Demucs, HDemucs, HTDemucs
from soloist.separators import HybridSeparator, WaveformSeparator, build_separator
from soloist.transforms import HalfHopSTFT
from soloist.zoo.importers.demucs_weights import translate
from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights

CLASSES = {
    "demucs.htdemucs.HTDemucs": "HTDemucs",
    "demucs.hdemucs.HDemucs": "HDemucs",
    "demucs.wdemucs.WDemucs": "HDemucs",
    "demucs.demucs.Demucs": "Demucs",
}
"""Networks by the paths under which files name them."""

_INERT = {"fractions.Fraction", "numpy.core.multiarray.scalar", "numpy.dtype", "_codecs.encode"}
"""Further names in published files: numbers of the configuration and of the scores."""

CARD = {
    "system": "Demucs",
    "licence": {"code": "MIT"},
    "citation": (
        "Simon Rouard, Francisco Massa, Alexandre Défossez. Hybrid Transformers for Music Source Separation. "
        "ICASSP 2023."
    ),
}

Options = Mapping[str, Any]
"""Arguments of the authors' constructors."""

_BRANCH_DEFAULTS = {"dconv_mode": 1, "dconv_depth": 2, "norm_starts": 4, "norm_groups": 4, "context": 1}
_COMMON_DEFAULTS = {
    **_BRANCH_DEFAULTS,
    "audio_channels": 2,
    "samplerate": 44100,
    "growth": 2,
    "rewrite": True,
    "kernel_size": 8,
    "stride": 4,
    "rescale": 0.1,
}
_HYBRID_DEFAULTS = {
    **_COMMON_DEFAULTS,
    "channels": 48,
    "channels_time": None,
    "nfft": 4096,
    "wiener_iters": 0,
    "wiener_residual": False,
    "cac": True,
    "multi_freqs": None,
    "freq_emb": 0.2,
    "emb_scale": 10,
    "time_stride": 2,
    "context_enc": 0,
    "num_subbands": 1,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "HTDemucs": {
        **_HYBRID_DEFAULTS,
        "segment": 10,
        "depth": 4,
        "multi_freqs_depth": 3,
        "dconv_comp": 8,
        "dconv_init": 1e-3,
        "dconv_lstm": None,
        "dconv_attn": None,
        "bottom_channels": 0,
        "t_layers": 5,
        "t_hidden_scale": 4.0,
        "t_heads": 8,
        "t_dropout": 0.0,
        "t_max_period": 10000.0,
        "t_norm_in": True,
        "t_norm_out": True,
        "t_layer_scale": True,
        "t_weight_pos_embed": 1.0,
        "t_cross_first": False,
        "use_train_segment": True,
    },
    "HDemucs": {
        **_HYBRID_DEFAULTS,
        "segment": 40,
        "depth": 6,
        "multi_freqs_depth": 2,
        "hybrid_old": False,
        "dconv_comp": 4,
        "dconv_init": 1e-4,
        "dconv_lstm": 4,
        "dconv_attn": 4,
    },
    "Demucs": {
        **_COMMON_DEFAULTS,
        "segment": 40,
        "channels": 64,
        "depth": 6,
        "dconv_comp": 4,
        "dconv_init": 1e-4,
        "dconv_lstm": 4,
        "dconv_attn": 4,
        "normalize": True,
        "resample": True,
    },
}
"""Defaults of the authors' constructors, for options that a file does not hold."""

_FIXED: dict[str, Any] = {
    "hybrid": True,
    "gelu": True,
    "glu": True,
    "lstm_layers": 0,
    "t_emb": "sin",
    "t_norm_first": True,
    "t_norm_in_group": False,
    "t_group_norm": False,
    "t_gelu": True,
    "t_sin_random_shift": 0,
    "t_sparse_self_attn": False,
    "t_sparse_cross_attn": False,
}
"""Options that no published model has otherwise."""


def is_package(metadata: Any) -> bool:
    """Return True for the plain values of a package of the authors'."""
    return isinstance(metadata, Mapping) and str(metadata.get("klass")) in CLASSES


class DemucsImporter(Importer):
    """Importer of the authors' packages (`.th`), of their safetensors, and of trainings by others.

    The latter, by Music-Source-Separation-Training (github.com/ZFTurbo/Music-Source-Separation-Training), are
    weights beside a YAML file with their settings.
    """

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a package, or of weights beside their settings.

        Raises:
            ModelError: The package has a class or an option that is not supported, holds code, or the weights
                do not fit; or settings are missing.
        """
        metadata = checkpoint.metadata
        if not isinstance(metadata, Mapping) or not {"klass", "kwargs"} <= metadata.keys():
            if "crosstransformer.layers.0.norm1.weight" not in checkpoint.state:
                return None
            return _training_of_others(checkpoint)
        name = metadata["klass"]
        if not str(name).startswith("demucs."):
            return None
        if name not in CLASSES:
            raise ModelError(f"Demucs's network {name} is none of {', '.join(CLASSES)}")
        if strange := sorted(checkpoint.records - CLASSES.keys() - _INERT):
            raise ModelError(f"the package names {', '.join(strange)}, which no model of Demucs's needs")
        return make_member(CLASSES[name], _options(metadata["kwargs"]), checkpoint.state)


def _options(kwargs: Any) -> Options:
    """Options of a package; those in safetensors are JSON.

    Raises:
        ModelError: They are no dict.
    """
    try:
        options = json.loads(kwargs) if isinstance(kwargs, str) else kwargs
    except ValueError as error:
        raise ModelError(f"the options of the network are no JSON: {one_line(error)}") from error
    if not isinstance(options, Mapping):
        raise ModelError("the options of the network are no names and values")
    return options


def _training_of_others(checkpoint: PublishedCheckpoint) -> ImportedModel:
    """Build the separator of weights beside a YAML file with a section `htdemucs`.

    Raises:
        ModelError: There is no such file, or more than one.
    """
    folder = checkpoint.folder
    found = [settings for path in _yaml_files(folder) if (settings := _training_settings(path)) is not None]
    if len(found) != 1:
        raise ModelError(
            "these are weights of an HTDemucs without its options: put the YAML file of its training, and no "
            f"other, beside them (there are {len(found)} with a section htdemucs)"
        )
    training = found[0]["training"]
    options = {
        "use_train_segment": False,
        "sources": training["instruments"],
        "audio_channels": training["channels"],
        "samplerate": training["samplerate"],
        "segment": training["segment"],
        **found[0]["htdemucs"],
    }
    # Tracks are not normalised there.
    return make_member("HTDemucs", options, checkpoint.state, normalization="none")


def _yaml_files(folder: Path | None) -> list[Path]:
    return (
        []
        if folder is None
        else sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    )


def _training_settings(path: Path) -> dict[str, Any] | None:
    """Content of a YAML file with the settings of an HTDemucs; None for another file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        training = content["training"]
        named = {"instruments", "channels", "samplerate", "segment"} <= training.keys()
        return content if named and isinstance(content["htdemucs"], dict) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None


def make_member(
    network: str, options: Options, state: Mapping[str, Tensor], **arguments: Any
) -> ImportedModel:
    """Build the separator of one network.

    Args:
        network: "HTDemucs", "HDemucs" or "Demucs".
        options: Arguments of its constructor; missing ones have the authors' defaults, unknown ones are
            ignored, as the authors do.
        state: Weights under the authors' names.
        **arguments: Further arguments of the separator.

    Raises:
        ModelError: An option is not supported, or the weights do not fit.
    """
    config = separator_config(network, options)
    config["init_args"] |= arguments
    separator = build_separator(config, f"the configuration of the {network}")
    assert isinstance(separator, (HybridSeparator, WaveformSeparator))
    load_weights(separator.network, translate(state, separator.network), f"the {network} of the options")
    title = f"{', '.join(separator.sources).capitalize()}, by {network}"
    return ImportedModel(separator, config, {**CARD, "title": title})


def separator_config(network: str, options: Options) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator with a network; see `make_member`.

    Raises:
        ModelError: An option is not supported.
    """
    if network not in _DEFAULTS:
        raise ModelError(f"Demucs's network {network!r} is none of {', '.join(_DEFAULTS)}")
    given = {**_DEFAULTS[network], **options}
    fixed = {**_FIXED, **({"kernel_size": 8, "stride": 4} if network == "Demucs" else {})}
    for key, value in fixed.items():
        if given.get(key, value) != value:
            raise ModelError(
                f"{network} with {key} {given[key]} is not supported: published models have {value}"
            )
    try:
        make = _waveform_config if network == "Demucs" else _hybrid_config
        return make(network, given)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"the options make no {network}: {one_line(error)}") from error


def _common_arguments(options: Options) -> dict[str, Any]:
    """Arguments of any separator."""
    rate = int(options["samplerate"])
    return {
        "sources": list(options["sources"]),
        "sample_rate": rate,
        "channels": options["audio_channels"],
        "chunk_length": int(segment_of(options["segment"]) * rate),
        "mean_to_each": True,
    }


def segment_of(value: Any) -> Fraction | float:
    """Seconds of a segment: a number, or a fraction as text, as the arguments of one, or as JSON.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(value, Mapping):
        return Fraction(int(value["numerator"]), int(value["denominator"]))
    if isinstance(value, (list, tuple)):
        return Fraction(*value)
    return Fraction(value) if isinstance(value, str) else value


def _common_sizes(options: Options) -> dict[str, Any]:
    """Sizes of any network."""
    mode = options["dconv_mode"]
    return {
        "audio_channels": options["audio_channels"],
        "num_sources": len(options["sources"]),
        "channels": options["channels"],
        "growth": options["growth"],
        "depth": options["depth"],
        "rewrite": options["rewrite"],
        "context": options["context"],
        "norm_from": options["norm_starts"],
        "norm_groups": options["norm_groups"],
        "branches": {
            "depth": options["dconv_depth"],
            "compression": options["dconv_comp"],
            "initial_scale": options["dconv_init"],
            "lstm_from": options["dconv_lstm"],
            "attention_from": options["dconv_attn"],
        },
        "branches_in_encoder": bool(mode & 1),
        "branches_in_decoder": bool(mode & 2),
        "rescale": options["rescale"],
    }


def _waveform_config(network: str, options: Options) -> dict[str, Any]:
    design = {**_common_sizes(options), "resample": options["resample"]}
    return configuration_of(
        WaveformSeparator,
        network=configuration_of(Demucs, design=design),
        standardize=options["normalize"],
        **_common_arguments(options),
    )


def _hybrid_config(network: str, options: Options) -> dict[str, Any]:
    planes = options["audio_channels"] * (2 if options["cac"] else 1)
    bands = options["num_subbands"]
    design = {
        **_common_sizes(options),
        "planes": planes * bands,
        "num_bins": options["nfft"] // 2 // bands,
        "time_channels": options["channels_time"],
        "kernel_size": options["kernel_size"],
        "stride": options["stride"],
        "time_stride": options["time_stride"],
        "encoder_context": options["context_enc"],
        "bands": list(options["multi_freqs"] or []),
        "band_depth": options["multi_freqs_depth"],
        "embedding": options["freq_emb"] or 0.0,
        "embedding_scale": options["emb_scale"],
    }
    arguments: dict[str, Any] = {"design": design}
    if network == "HTDemucs":
        arguments["transformer"] = _transformer(options)
    return configuration_of(
        HybridSeparator,
        transform=configuration_of(
            HalfHopSTFT, n_fft=options["nfft"], delayed=options.get("hybrid_old", False)
        ),
        network=configuration_of(HTDemucs if network == "HTDemucs" else HDemucs, **arguments),
        representation="complex" if options["cac"] else "magnitude",
        subbands=bands,
        pad_to_chunk=options.get("use_train_segment", False),
        wiener=_wiener(options),
        **_common_arguments(options),
    )


def _wiener(options: Options) -> dict[str, Any] | None:
    iterations = options["wiener_iters"]
    if options["cac"] or not iterations:
        return None
    if iterations < 0:
        raise ModelError(f"wiener_iters {iterations} is not supported: published models have 0")
    return {"iterations": iterations, "residual": options["wiener_residual"]}


def _transformer(options: Options) -> dict[str, Any]:
    return {
        "channels": options["bottom_channels"] or None,
        "layers": options["t_layers"],
        "heads": options["t_heads"],
        "hidden_scale": options["t_hidden_scale"],
        "dropout": options["t_dropout"],
        "layer_scale": options["t_layer_scale"],
        "cross_first": options["t_cross_first"],
        "norm_in": options["t_norm_in"],
        "norm_out": options["t_norm_out"],
        "position_weight": options["t_weight_pos_embed"],
        "max_period": options["t_max_period"],
    }
