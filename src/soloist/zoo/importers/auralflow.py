"""Auralflow (github.com/kianzohoury/auralflow): its mask estimators.

Switched on here: its networks take a single number of frames; its recurrent networks carry convolutions that
they never use. An imported LSTM takes each of its points by itself, as the original does with a batch of one
when it separates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError, one_line
from soloist.networks import SpectrogramNet, SpectrogramNetLSTM, SpectrogramNetVAE
from soloist.networks.spectrogram_net import LEVELS, MaskActivation
from soloist.networks.spectrogram_net_recurrent import Recurrence
from soloist.separators import SpectralSeparator, build_separator
from soloist.transforms import STFT
from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights

SETTINGS = "model.json"
"""Name of the file beside the weights that holds the settings."""

CARD = {
    "system": "Auralflow",
    "licence": {"code": "MIT"},
    "citation": "Kian Zohoury: Auralflow, a lightweight BSS model toolkit for PyTorch. 2022.",
    "notes": (
        "The activation of the mask, the slope of leaky units, the hop of the transform, the source and the "
        "sample rate are not stored with the weights but in the model.json beside them; without it, they are "
        "taken as published."
    ),
}

Options = Mapping[str, Any]
"""Options under auralflow's names: arguments of its constructors, or the content of its `model.json`."""

NETWORKS: dict[str, type[SpectrogramNet]] = {
    "SpectrogramNetSimple": SpectrogramNet,
    "SpectrogramNetLSTM": SpectrogramNetLSTM,
    "SpectrogramNetVAE": SpectrogramNetVAE,
}

# Defaults of its command line.
SAMPLE_RATE = 44100
SAMPLE_LENGTH = 3
TARGETS = ("vocals",)

_GAIN = "input_norm.layer_norm.layer_norm.weight"


class AuralflowImporter(Importer):
    """Importer of a network's weights, or of the checkpoint of its training."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of the weights and of the `model.json` beside them, if there is one.

        Options that neither holds are taken as published: a sigmoid, a hop of half a window, vocals at
        44.1 kHz, and, for an input that is not normalised, the frames of 3 s.

        Raises:
            ModelError: The shapes are of none of the networks, or the file beside them is not auralflow's or
                of another network.
        """
        weights = network_weights(checkpoint.state)
        if not {"down_1.conv_block.conv.0.conv.weight", "output_norm.center"} <= weights.keys():
            return None
        settings = _settings_in(checkpoint.folder)
        try:
            config = separator_config({**_options_of(weights), **settings}, "none")
        except KeyError as error:
            raise ModelError(f"the checkpoint of a SpectrogramNet is incomplete: it has no {error}") from None
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise ModelError(
                f"{SETTINGS} has values that make no SpectrogramNet: {one_line(error)}"
            ) from error
        separator = make_separator(config, weights)
        title = f"{separator.sources[0].capitalize()}, by a U-Net on magnitudes"
        return ImportedModel(separator, config, {**CARD, "title": title})


def make_separator(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> SpectralSeparator:
    """Build a separator of auralflow's with its weights.

    Args:
        config: `class_path` and `init_args` of the separator.
        weights: Weights of the network under auralflow's names.

    Raises:
        ModelError: The weights do not fit.
    """
    separator = cast(SpectralSeparator, build_separator(config, "the configuration of the SpectrogramNet"))
    load_weights(separator.network, _translate(weights), "the SpectrogramNet of the options")
    return separator


def network_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the network, from its state dict or that of its mask model, under the network's names."""
    return {name.removeprefix("model."): torch.as_tensor(value) for name, value in state.items()}


def _settings_in(folder: Path | None) -> Options:
    """Read the settings in a folder; an empty dict without a file.

    Raises:
        ModelError: The file cannot be read, or is not auralflow's.
    """
    path = folder / SETTINGS if folder is not None else None
    if path is None or not path.exists():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {one_line(error)}") from error
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise ModelError(f"{path} is not auralflow's: move it away to import the weights without it")
    # The number of frames follows from the length of its excerpts.
    return {"num_frames": None, **settings}


def separator_config(options: Options, recurrence: Recurrence) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator for the options of a mask model.

    Args:
        options: Content of `model.json`, or options of a network alone, with the rest as published.
        recurrence: Axis that an LSTM runs along; see `RecurrentBottleneck`.

    Raises:
        KeyError: An option is missing.
        ModelError: There is no such network.
    """
    n_fft = options.get("num_fft") or 2 * (options["num_fft_bins"] - 1)
    window = options.get("window_size", n_fft)
    hop = options.get("hop_length", window // 2)
    frames = options.get("num_frames") or frames_of(options, hop)
    network = {**options, "num_fft_bins": n_fft // 2 + 1, "num_frames": frames}
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(STFT, n_fft=n_fft, hop_length=hop, window_length=window),
        network=network_config(network, recurrence),
        # Its networks have one output, for any number of targets.
        sources=["-".join(options.get("targets", TARGETS))],
        sample_rate=options.get("sample_rate", SAMPLE_RATE),
        channels=options.get("num_channels", 1),
        representation="magnitude",
        mode="masking",
        chunk_frames=frames,
    )


def network_config(options: Options, recurrence: Recurrence) -> dict[str, Any]:
    """`class_path` and `init_args` of the network for the options of one of auralflow's networks.

    The network always has shift and scale of the output, because every checkpoint has their weights.

    Raises:
        KeyError: An option is missing.
        ModelError: There is no such network.
    """
    kind = options.get("model_type", options.get("class"))
    if kind not in NETWORKS:
        raise ModelError(f"auralflow's network {kind!r} is none of {', '.join(NETWORKS)}")
    arguments = {
        "channels": options.get("num_channels", 1),
        "num_bins": options["num_fft_bins"],
        "num_frames": options["num_frames"],
        "hidden_channels": options.get("hidden_channels", options.get("num_hidden_channels", 16)),
        "normalize_input": options.get("normalize_input", True),
        "leak": float(max(options.get("leak_factor", 0.0), 0.0)),
        "dropout": options.get("dropout_p", 0.4),
        "mask_activation": _activation(options.get("mask_act_fn", "sigmoid")),
    }
    if kind != "SpectrogramNetSimple":
        arguments |= {
            "recurrent_layers": options.get("recurrent_depth", 3),
            "hidden_size": options.get("hidden_size", 1024),
            "axis": "time" if options.get("input_axis", 1) == 0 else "frequency",
            "recurrence": recurrence,
            "unused_bottleneck": True,
        }
    return configuration_of(NETWORKS[kind], **arguments)


def frames_of(options: Options, hop: int) -> int:
    """Frames of an excerpt, which auralflow completes to the next hop, or by a whole hop."""
    samples = options.get("sample_length", SAMPLE_LENGTH) * options.get("sample_rate", SAMPLE_RATE)
    return int(samples) // hop + 2


def _options_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Options from the shapes of a network's weights, with the rest as published.

    Raises:
        KeyError: A weight is missing.
    """
    bins, hidden = len(weights["output_norm.center"]), len(weights["down_1.conv_block.conv.0.conv.weight"])
    options: dict[str, Any] = {
        "model_type": "SpectrogramNetSimple",
        "num_fft_bins": bins,
        "num_channels": len(weights["soft_conv.0.weight"]),
        "hidden_channels": hidden,
        "normalize_input": _GAIN in weights,
        "mask_act_fn": "prelu" if "mask_activation.weight" in weights else "sigmoid",
    }
    if _GAIN in weights:
        options["num_frames"] = weights[_GAIN].shape[2]
    if "lstm.weight_ih_l0" not in weights:
        return options
    size = weights["lstm.weight_ih_l0"].shape[1] // (hidden << (LEVELS - 1))
    return options | {
        "model_type": "SpectrogramNetVAE" if "mu.weight" in weights else "SpectrogramNetLSTM",
        "hidden_size": weights["lstm.weight_hh_l0"].shape[1],
        "recurrent_depth": sum(re.fullmatch(r"lstm\.weight_ih_l\d+", name) is not None for name in weights),
        **_features(size, bins, options.get("num_frames", frames_of({}, bins - 1))),
    }


def _features(size: int, bins: int, frames: int) -> dict[str, int]:
    """Axis whose size after the halvings is that of the features; frames, as published, if both fit."""
    if size == frames >> LEVELS:
        return {"input_axis": 1, "num_frames": frames}
    if size == bins >> LEVELS:
        return {"input_axis": 0, "num_frames": frames}
    return {"input_axis": 1, "num_frames": size << LEVELS}


def _activation(name: str) -> str:
    """Name of an activation; auralflow takes a sigmoid for unknown ones, and a softmax over channels."""
    if name == "softmax":
        return "channel_softmax"
    return name if name in get_args(MaskActivation) else "sigmoid"


_RENAMED = [
    (r"^input_norm\.layer_norm\.layer_norm\.weight$", "input_norm.gain"),
    (r"^input_norm\.layer_norm\.layer_norm\.bias$", "input_norm.shift"),
    (r"^output_norm\.center$", "output_norm.shift"),
    (r"^soft_conv\.0\.", "head.conv."),
    (r"^soft_conv\.1\.", "head.norm."),
    (r"^mask_activation\.", "mask.activation."),
    (r"^lstm\.", "bottleneck.lstm."),
    (r"^linear\.", "bottleneck.dense."),
    (r"^mu\.", "bottleneck.mean."),
    (r"^log_sigma\.", "bottleneck.log_deviation."),
]

# Stages, which auralflow numbers from 1, and layers of a stack of three convolutions.
_STAGES = {"down": "encoders", "up": "decoders"}
_LAYERS = {"conv": 0, "bn": 2}


def _translate(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names."""
    recurrent = "lstm.weight_ih_l0" in weights
    ours = {}
    for name, value in weights.items():
        if name.startswith("output_norm."):
            value = (-value if name.endswith("center") else value)[None]
        ours[_rename(name, "unused" if recurrent else "bottleneck")] = value
    return ours


def _rename(name: str, bottleneck: str) -> str:
    if stack := re.fullmatch(
        r"(?:(down|up)_(\d)\.conv_block|bottleneck)\.conv\.(\d)\.(conv|bn)\.(\w+)", name
    ):
        stage, number, place, layer, rest = stack.groups()
        owner = bottleneck if stage is None else f"{_STAGES[stage]}.{int(number) - 1}"
        return f"{owner}.{3 * int(place) + _LAYERS[layer]}.{rest}"
    if up := re.fullmatch(r"up_(\d)\.(up|bn)\.(\w+)", name):
        number, layer, rest = up.groups()
        return f"ups.{int(number) - 1}.{'conv' if layer == 'up' else 'norm'}.{rest}"
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
