"""Auralflow (github.com/kianzohoury/auralflow): its mask estimators, and how it separates with them.

What it does and we do not is switched on here: its networks take a single number of frames; their LSTMs run
along the items of a batch, and carry convolutions that are never used; a mixture is completed to the next
hop, or by a whole one, and comes back as long as that; files are separated in 16-bit units, and lose their
end.

A model of its is imported as a separator whose LSTM takes each of its points by itself, which is what theirs
does with a batch of one, as it separates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import ModelError, one_line
from soloist.networks import SpectrogramNet, SpectrogramNetVAE
from soloist.separators import SpectralSeparator, build_separator
from soloist.zoo.importers import ImportedModel
from soloist.zoo.importers.auralflow_options import Options, separator_config, told_by

SETTINGS = "model.json"
"""The file beside the weights that says what they do not."""

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


def handles(config: Options) -> bool:
    """Whether a reference vector is of this code base: a network, its mask model, or its way with files."""
    return config.get("system") == "auralflow" and config.get("kind") in _KINDS


def from_reference(config: Options, state: Mapping[str, Tensor]) -> Callable[..., Tensor]:
    """Rebuild what a vector records, with the original's axes.

    Kinds: "afnet" maps magnitudes `[batch, channels, frequency, frames]` to masks; "afmask" maps `[batch,
    channels, samples]`, and completes the last hop; "afsep" maps `[2, samples]` in 16-bit units to `[1,
    samples]`.

    The variational network draws noise there, also when it separates. The callables of the first two kinds
    take it as `noise`, `[batch, points, features]`; without it, masks are those of the mean.

    Raises:
        ModelError: The configuration lacks an option, or the weights do not fit it.
    """
    try:
        # A network goes by its class; what is made with one says which it is.
        named = {"model_type": config["class"]} if config["kind"] == "afnet" else {}
        separator = _separator(separator_config({**config, **named}, "batch"), _of_network(state))
    except KeyError as error:
        raise ModelError(f"the configuration of {config.get('class')} has no usable {error}") from None
    return _KINDS[config["kind"]](separator, config)


def recognize(state: Mapping[str, Tensor]) -> ImportedModel | None:
    """The separator of the weights of a network, or of the checkpoint of its training.

    What no weight tells is taken as published: a sigmoid, a hop of half a window, vocals at 44.1 kHz, and,
    where the input is not normalised, the frames of 3 s.

    Raises:
        ModelError: The names are this code base's, but the shapes are of none of its networks.
    """
    return _recognize(state, {})


def recognize_in(folder: Path, state: Mapping[str, Tensor]) -> ImportedModel | None:
    """What `recognize` gives, with what the `model.json` in the folder of the weights tells, if there is one.

    Raises:
        ModelError: The file is not auralflow's, or of another network than the weights.
    """
    path = folder / SETTINGS
    if not _is_ours(_of_network(state)) or not path.exists():
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {one_line(error)}") from error
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise ModelError(f"{path} is not auralflow's: move it away to import the weights without it")
    # Its excerpts tell how many frames there are.
    return _recognize(state, {"num_frames": None, **settings})


def _recognize(state: Mapping[str, Tensor], settings: Options) -> ImportedModel | None:
    weights = _of_network(state)
    if not _is_ours(weights):
        return None
    try:
        config = separator_config({**told_by(weights), **settings}, "none")
    except KeyError as error:
        raise ModelError(f"the checkpoint of a SpectrogramNet is incomplete: it has no {error}") from None
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"{SETTINGS} has values that make no SpectrogramNet: {one_line(error)}") from error
    separator = _separator(config, weights)
    title = f"{separator.sources[0].capitalize()}, by a U-Net on magnitudes"
    return ImportedModel(separator, config, {**CARD, "title": title})


def _is_ours(weights: Mapping[str, Tensor]) -> bool:
    return {"down_1.conv_block.conv.0.conv.weight", "output_norm.center"} <= weights.keys()


def masks(network: SpectrogramNet, magnitudes: Tensor, noise: Tensor | None = None) -> Tensor:
    """Masks of a network, with the noise that a variational one drew, if it is known.

    Where no frame has a gain of its own, all frames are seen at once, however many they are.

    Args:
        network: Any; without noise what it gives in evaluation.
        magnitudes: `(batch, channels, frequency, frames)`.
        noise: `(batch, points, features)`.

    Raises:
        ModelError: There is noise, and the network draws none.
    """
    if isinstance(network.input_norm, nn.Identity):
        network.num_frames = magnitudes.shape[-1]
    if noise is None:
        return network(magnitudes)
    if not isinstance(network, SpectrogramNetVAE):
        raise ModelError(f"a {type(network).__name__} draws no noise")
    coded, skips = network.encode(network.cut(magnitudes))
    mean, deviation = network.bottleneck.distribution(coded)
    latent = network.bottleneck.recur(mean + deviation * torch.as_tensor(noise))
    return network.join(network.decode(latent, skips), magnitudes)


def _network(separator: SpectralSeparator, options: Options) -> Callable[..., Tensor]:
    @torch.no_grad()
    def run(magnitudes: Tensor, noise: Tensor | None = None) -> Tensor:
        return masks(cast(SpectrogramNet, separator.network), torch.as_tensor(magnitudes), noise)

    return run


def _mask_model(separator: SpectralSeparator, options: Options) -> Callable[..., Tensor]:
    @torch.no_grad()
    def run(audio: Tensor, noise: Tensor | None = None) -> Tensor:
        return _separate(separator, torch.as_tensor(audio), noise)

    return run


def _file(separator: SpectralSeparator, options: Options) -> Callable[[Tensor], Tensor]:
    padding = options.get("padding", 200)
    step = options["sample_length"] * options["sample_rate"] - padding

    @torch.no_grad()
    def run(audio: Tensor) -> Tensor:
        audio = torch.as_tensor(audio).float()
        length = audio.shape[-1]
        mixture = audio[None] if separator.channels > 1 else audio.mean(dim=0)[None, None]
        pieces = []
        # What comes after the last whole window, before it lost its padding, is dropped.
        for start in range(0, max(length - padding - step, 1), step):
            chunk = mixture[..., start : start + step]
            pieces.append(_separate(separator, chunk)[..., :-padding][..., : chunk.shape[-1]])
        # Channels come one after the other, up to the length of the file.
        return torch.cat(pieces, dim=-1).reshape(1, -1)[:, :length]

    return run


_KINDS: dict[str, Callable[[SpectralSeparator, Options], Callable[..., Tensor]]] = {
    "afnet": _network,
    "afmask": _mask_model,
    "afsep": _file,
}


def _separate(separator: SpectralSeparator, audio: Tensor, noise: Tensor | None = None) -> Tensor:
    """Estimates `(batch, channels, samples)`, up to a hop longer than the mixture."""
    hop = separator.transform.hop_length
    mixture = pad(audio, (0, hop - audio.shape[-1] % hop))
    # Their transform of an odd length has no frame at the very end.
    frames = mixture.shape[-1] // hop + 1 - separator.transform.n_fft % 2
    coefficients = separator.transform(mixture)[..., :frames]
    made = masks(cast(SpectrogramNet, separator.network), coefficients.abs(), noise)
    return separator.transform.inverse(made * coefficients, mixture.shape[-1])


def _separator(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> SpectralSeparator:
    separator = cast(SpectralSeparator, build_separator(config, "the configuration of the SpectrogramNet"))
    try:
        separator.network.load_state_dict(_translate(weights))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights do not fit the SpectrogramNet of the options: {reason}") from None
    return separator


def _of_network(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network, by their names in it, of its state dict or of its mask model's."""
    return {name.removeprefix("model."): torch.as_tensor(value) for name, value in state.items()}


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

# The layers that are numbered from 1, and the three convolutions of a stack.
_STAGES = {"down": "encoders", "up": "decoders"}
_LAYERS = {"conv": 0, "bn": 2}


def _translate(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their names to ours."""
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
