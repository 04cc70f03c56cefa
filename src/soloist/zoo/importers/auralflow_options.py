"""Auralflow's options as configurations of ours: from its `model.json`, and from the shapes of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import SpectrogramNet, SpectrogramNetLSTM, SpectrogramNetVAE
from soloist.networks.spectrogram_net import LEVELS, MaskActivation
from soloist.networks.spectrogram_net_recurrent import Recurrence
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT

Options = Mapping[str, Any]
"""Options by auralflow's names: those of its constructors, or what its `model.json` holds."""

NETWORKS: dict[str, type[SpectrogramNet]] = {
    "SpectrogramNetSimple": SpectrogramNet,
    "SpectrogramNetLSTM": SpectrogramNetLSTM,
    "SpectrogramNetVAE": SpectrogramNetVAE,
}

# What its command line begins with.
SAMPLE_RATE = 44100
SAMPLE_LENGTH = 3
TARGETS = ("vocals",)

_GAIN = "input_norm.layer_norm.layer_norm.weight"


def separator_config(options: Options, recurrence: Recurrence) -> dict[str, Any]:
    """`class_path` and `init_args` of our separator for options of its mask model.

    Args:
        options: What `model.json` holds; of a network alone, what is missing is taken as published.
        recurrence: What an LSTM runs along; see `RecurrentBottleneck`.

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
        # It has one output, whatever the targets are.
        sources=["-".join(options.get("targets", TARGETS))],
        sample_rate=options.get("sample_rate", SAMPLE_RATE),
        channels=options.get("num_channels", 1),
        representation="magnitude",
        mode="masking",
        chunk_frames=frames,
    )


def network_config(options: Options, recurrence: Recurrence) -> dict[str, Any]:
    """`class_path` and `init_args` of our network for the options of one of its networks.

    The shift and the scale of the output are always there, as they are among its weights.

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
    """Frames that its network is made for: its excerpts are completed to the next hop, or by a whole one."""
    samples = options.get("sample_length", SAMPLE_LENGTH) * options.get("sample_rate", SAMPLE_RATE)
    return int(samples) // hop + 2


def told_by(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options that the shapes of a network's weights tell, or are taken as published for them.

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
    """The axis that is features, of this size after the halvings: frames, as published, if these fit."""
    if size == frames >> LEVELS:
        return {"input_axis": 1, "num_frames": frames}
    if size == bins >> LEVELS:
        return {"input_axis": 0, "num_frames": frames}
    return {"input_axis": 1, "num_frames": size << LEVELS}


def _activation(name: str) -> str:
    """Our name of an activation; what there is not, is a sigmoid there, and its softmax is over channels."""
    if name == "softmax":
        return "channel_softmax"
    return name if name in get_args(MaskActivation) else "sigmoid"
