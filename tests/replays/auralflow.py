"""Auralflow's networks, its mask model, and its separation of files.

The original differs in this: its LSTMs run along the items of a batch; it completes a mixture to the next
hop, or by a whole hop, and returns that length; it separates files in 16-bit units, and drops their end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import ModelError
from soloist.networks import SpectrogramNet, SpectrogramNetVAE
from soloist.separators import SpectralSeparator
from soloist.zoo.importers.auralflow import Options, make_separator, network_weights, separator_config


def handles(config: Options) -> bool:
    """Tell whether a vector is of this code base: a network, its mask model, or its separation of files."""
    return config.get("system") == "auralflow" and config.get("kind") in _KINDS


def from_reference(config: Options, state: Mapping[str, Tensor]) -> Callable[..., Tensor]:
    """Rebuild the function that a vector records.

    Kinds: "afnet" maps magnitudes `[batch, channels, frequency, frames]` to masks; "afmask" maps `[batch,
    channels, samples]`, and completes the last hop; "afsep" maps `[2, samples]` in 16-bit units to `[1,
    samples]`.

    The original's variational network draws noise, also when it separates. Callables of the first two kinds
    take that noise as `noise`, `[batch, points, features]`; without noise, masks are those of the mean.

    Raises:
        ModelError: The configuration lacks an option, or the weights do not fit it.
    """
    try:
        # The class of a network is its type; a mask model and a separation name the type of their network.
        named = {"model_type": config["class"]} if config["kind"] == "afnet" else {}
        separator = make_separator(separator_config({**config, **named}, "batch"), network_weights(state))
    except KeyError as error:
        raise ModelError(f"the configuration of {config.get('class')} has no usable {error}") from None
    return _KINDS[config["kind"]](separator, config)


def _masks(network: SpectrogramNet, magnitudes: Tensor, noise: Tensor | None = None) -> Tensor:
    """Masks of a network, with given noise of a variational one.

    A network without a gain for each frame maps all frames at once.

    Args:
        network: Any of the networks.
        magnitudes: Input `(batch, channels, frequency, frames)`.
        noise: Noise `(batch, points, features)`; if None, masks are those of the mean.

    Raises:
        ModelError: Noise is given to a network that draws none.
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
        return _masks(cast(SpectrogramNet, separator.network), torch.as_tensor(magnitudes), noise)

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
        # The original drops samples after the last whole window, counted before the window lost its padding.
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
    # The original's transform of an odd length has no frame at the very end.
    frames = mixture.shape[-1] // hop + 1 - separator.transform.n_fft % 2
    coefficients = separator.transform(mixture)[..., :frames]
    made = _masks(cast(SpectrogramNet, separator.network), coefficients.abs(), noise)
    return separator.transform.inverse(made * coefficients, mixture.shape[-1])
