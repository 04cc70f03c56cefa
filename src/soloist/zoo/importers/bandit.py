"""Bandit and Bandit v2 of Karn Watcharasupat, as Music-Source-Separation-Training and UVR publish them.

The two order the coefficients of a band otherwise, and have other names. Both separate each channel by
itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import Bandit
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
    section,
)

SYSTEM = "Bandit"

CARD = {
    "system": SYSTEM,
    "licence": {"weights": "not stated"},
    "citation": (
        "Karn N. Watcharasupat, Chih-Wei Wu, Yiwei Ding, Iroro Orife, Aaron J. Hipple, Phillip A. Williams, "
        "Scott Kramer, Alexander Lerch, William Wolcott: A Generalized Bandsplit Neural Network for "
        "Cinematic Audio Source Separation. IEEE Open Journal of Signal Processing 5, 2024."
    ),
}

_USED: dict[str, Any] = {
    "stems": None,
    "n_bands": 64,
    "fs": 44100,
    "n_sqm_modules": 12,
    "emb_dim": 128,
    "rnn_dim": 256,
    "bidirectional": True,
    "rnn_type": "LSTM",
    "mlp_dim": 512,
    "n_fft": 2048,
    "hop_length": 512,
    "pad_mode": "constant",
}
"""Settings that change the network, with the defaults of the original."""

_FIXED: dict[str, Any] = {
    "in_channel": 1,
    "in_channels": 1,
    "band_specs": "musical",
    "band_type": "musical",
    "normalize_channel_independently": False,
    "treat_channel_as_feature": True,
    "hidden_activation": "Tanh",
    "hidden_activation_kwargs": None,
    "complex_mask": True,
    "use_freq_weights": True,
    "window_fn": "hann_window",
    "wkwargs": None,
    "power": None,
    "center": True,
    "normalized": True,
    "onesided": True,
    "mult_add_mask": False,
    "cond_dim": 0,
}
"""Settings of which one value is supported: that of all published models."""

_UNUSED = ("require_no_overlap", "require_no_gap", "win_length")
_PRECISIONS = r"\w+_precisions"

_FIRST_BAND = "band_split.norm_fc_modules.0."


class BanditImporter(Importer):
    """Importer of Bandit, with the settings of its YAML."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Raises:
            ModelError: The names are those of a Bandit, but its settings are missing, unknown or do not fit.
        """
        first = next((name for name in checkpoint.state if _FIRST_BAND in name), None)
        if first is None:
            return None
        prefix = first.partition(_FIRST_BAND)[0]
        state = {
            name.removeprefix(prefix): value
            for name, value in checkpoint.state.items()
            if name.startswith(prefix)
        }
        config = from_options(checkpoint.options)
        separator = make_separator(config, state)
        title = f"{', '.join(separator.sources).capitalize()}, by recurrences on bands of the spectrogram"
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
    network = cast(Bandit, separator.network)
    try:
        weights = _translate(network, separator.sources, state)
    except (KeyError, RuntimeError) as error:
        missing = f"there is no {error}" if isinstance(error, KeyError) else "shapes differ"
        raise ModelError(f"the weights do not fit the {SYSTEM} of the settings: {missing}") from None
    load_weights(network, weights, f"the {SYSTEM} of the settings")
    return separator


def from_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator for the settings of a YAML.

    Raises:
        ModelError: A setting is missing, unknown or not supported, or the stems are not the instruments.
    """
    model = section(options, "kwargs" if "kwargs" in options else "model", SYSTEM)
    model = {key: value for key, value in model.items() if not re.fullmatch(_PRECISIONS, key)}
    check_model_keys(model, (*_USED, *_FIXED, *_UNUSED), SYSTEM)
    for key in _FIXED.keys() & model.keys():
        if model[key] != _FIXED[key]:
            raise ModelError(f"a {SYSTEM} with {key}: {model[key]} is not supported, only {_FIXED[key]}")
    settings = {**_USED, **model}
    sources = [str(name) for name in settings["stems"] or instruments(options, SYSTEM)]
    if "training" in options and sorted(named := instruments(options, SYSTEM)) != sorted(sources):
        raise ModelError(f"the stems of this {SYSTEM} ({', '.join(sources)}) are not {', '.join(named)}")
    audio = section(options, "audio", SYSTEM)
    hop = settings["hop_length"]
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(
            STFT,
            n_fft=settings["n_fft"],
            hop_length=hop,
            pad_mode=settings["pad_mode"],
            orthonormal=True,
        ),
        network=_network(settings, len(sources)),
        sources=sources,
        sample_rate=audio.get("sample_rate", settings["fs"]),
        channels=audio.get("num_channels", 2),
        plane_order="channels",
        mode="complex_masking",
        chunk_frames=(chunk_length(options, SYSTEM) or 6 * 44100) // hop + 1,
        cutting=cutting(options, SYSTEM),
    )


def _network(settings: Mapping[str, Any], num_sources: int) -> dict[str, Any]:
    return configuration_of(
        Bandit,
        num_sources=num_sources,
        num_bins=settings["n_fft"] // 2 + 1,
        num_bands=settings["n_bands"],
        sample_rate=settings["fs"],
        dim=settings["emb_dim"],
        hidden_size=settings["rnn_dim"],
        depth=settings["n_sqm_modules"],
        mask_features=settings["mlp_dim"],
        cell=str(settings["rnn_type"]).lower(),
        bidirectional=settings["bidirectional"],
    )


def _translate(network: Bandit, sources: tuple[str, ...], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names, and join the bands of one width.

    Raises:
        KeyError: A weight is missing.
        RuntimeError: Weights of bands of one width have several shapes.
    """
    ours = _split(network, state)
    layers = {match[1] for name in state if (match := re.match(r"tf_model\.seqband\.(\d+)\.", name))}
    # Bandit v2 counts the changes of the axis between the recurrences, too.
    for place, layer in enumerate(sorted(layers, key=int)):
        theirs, path = f"tf_model.seqband.{layer}.", f"paths.{place}."
        for name in (name for name in state if name.startswith(theirs)):
            part = re.sub(r"^fc\.", "recurrence.linear.", name.removeprefix(theirs))
            ours[path + re.sub(r"^rnn\.", "recurrence.rnn.", part)] = state[name]
    for source, stem in enumerate(sources):
        ours |= _masks(network, f"mask_estim.{stem}.norm_mlp", f"masks.{source}", state)
    return ours


def _split(network: Bandit, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the features of the bands."""
    first = f"{_FIRST_BAND}norm.weight" in state
    norm, linear = ("norm", "fc") if first else ("combined.0", "combined.1")

    def stacked(bands: list[int], name: str) -> Tensor:
        values = [state[f"band_split.norm_fc_modules.{band}.{name}"] for band in bands]
        # The first Bandit has all real parts before the imaginary ones.
        by_parts = first and name != f"{linear}.bias"
        return torch.stack([rearrange(v, "... (p f) -> ... (f p)", p=2) if by_parts else v for v in values])

    ours = {}
    for group, bands in enumerate(network.band_split.bands.groups.values()):
        ours[f"band_split.gains.{group}"] = stacked(bands, f"{norm}.weight")
        ours[f"band_split.shifts.{group}"] = stacked(bands, f"{norm}.bias")
        ours[f"band_split.linears.{group}.weight"] = stacked(bands, f"{linear}.weight").mT
        ours[f"band_split.linears.{group}.bias"] = stacked(bands, f"{linear}.bias")
    return ours


def _masks(network: Bandit, theirs: str, ours: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the masks of one source."""

    def stacked(bands: list[int], name: str) -> Tensor:
        return torch.stack([state[f"{theirs}.{band}.{name}"] for band in bands])

    groups, every = (
        network.band_split.bands.groups.values(),
        list(range(len(network.band_split.bands.widths))),
    )
    weights = {
        f"{ours}.gain": stacked(every, "norm.weight"),
        f"{ours}.shift": stacked(every, "norm.bias"),
        f"{ours}.estimator.hidden.0.weight": stacked(every, "hidden.0.weight").mT,
        f"{ours}.estimator.hidden.0.bias": stacked(every, "hidden.0.bias"),
    }
    for group, bands in enumerate(groups):
        weights[f"{ours}.estimator.linears.{group}.weight"] = stacked(bands, "output.0.weight").mT
        weights[f"{ours}.estimator.linears.{group}.bias"] = stacked(bands, "output.0.bias")
    return weights
