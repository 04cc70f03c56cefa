"""nussl's DUET, with `Duet(as_released=True)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from replays.nussl.algorithms import stft_options
from soloist.errors import ModelError
from soloist.separators import Duet

# nussl's constructor arguments and their defaults.
_DEFAULTS: dict[str, Any] = {
    "num_sources": None,
    "attenuation_min": -3,
    "attenuation_max": 3,
    "num_attenuation_bins": 50,
    "delay_min": -3,
    "delay_max": 3,
    "num_delay_bins": 50,
    "peak_threshold": 0.0,
    "attenuation_min_distance": 5,
    "delay_min_distance": 5,
    "p": 1,
    "q": 0,
}
# Arguments without effect: masks are binary in any case.
_WITHOUT_EFFECT = ("mask_type", "mask_threshold")


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of nussl's DUET."""
    return str(config.get("system", "")).startswith("nussl") and config.get("class") == "spatial.Duet"


def from_reference(
    config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Callable[[Tensor], dict[str, Tensor]]:
    """Rebuild the DUET of a vector.

    Args:
        config: `args` (nussl's constructor arguments), `sample_rate` in Hz and `stft`: [window length, hop
            length, window].
        state: Empty; DUET has no weights.

    Returns:
        A callable on audio `(2, samples)` that returns the estimates in nussl's order as `audio/<i>`
        `(2, samples)`, and the first one's mask as `mask/0` `(frequency, frames, 1)`, of booleans.

    Raises:
        ModelError: DUET has no such argument, or the number of sources is missing.
    """
    if state:
        raise ModelError(f"Duet of nussl has no weights, but was given {sorted(state)[0]}")
    given = {key: value for key, value in config["args"].items() if key not in _WITHOUT_EFFECT}
    unknown = set(given) - set(_DEFAULTS)
    if unknown:
        raise ModelError(f"nussl's Duet has no argument {sorted(unknown)[0]!r}")
    if "num_sources" not in given:
        raise ModelError("nussl's Duet needs the argument 'num_sources'")
    duet = _build({**_DEFAULTS, **given}, config)

    def separate(audio: Tensor) -> dict[str, Tensor]:
        audio = torch.as_tensor(audio)
        spectrum = duet.stft(audio[None].double())
        masks = duet.spectrum_masks(spectrum)[0]
        estimates = duet.stft.inverse(spectrum * masks, audio.shape[-1]).to(audio.dtype)
        outputs = {f"audio/{index}": estimate for index, estimate in enumerate(estimates)}
        return outputs | {"mask/0": rearrange(masks[0], "c f t -> f t c").bool()}

    return separate


def _build(arguments: dict[str, Any], config: Mapping[str, Any]) -> Duet:
    def pair(first: str, second: str, kind: type) -> tuple[Any, Any]:
        return kind(arguments[first]), kind(arguments[second])

    return Duet(
        arguments["num_sources"],
        attenuations=pair("attenuation_min", "attenuation_max", float),
        delays=pair("delay_min", "delay_max", float),
        bins=pair("num_attenuation_bins", "num_delay_bins", int),
        peak_threshold=arguments["peak_threshold"],
        peak_distance=pair("attenuation_min_distance", "delay_min_distance", int),
        p=arguments["p"],
        q=arguments["q"],
        as_released=True,
        **stft_options(config),
    )
