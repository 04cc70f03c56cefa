"""Importer of nussl 1.1.9: its oracles ("benchmark" separators).

nussl's phase-sensitive masks are normalised to add up to one, which those of the paper are not; its Wiener
filter starts from a ratio mask, whatever it is shown, and only magnitudes of its result are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import ModelError
from soloist.separators.oracles import Rule, share, wiener_filter
from soloist.transforms.stft import STFT

_FLOOR = 1e-8
"""Added to sums of magnitudes before they divide."""
_WIENER_FLOOR = torch.finfo(torch.float64).eps ** 0.5

_WINDOWS: dict[str, Callable[[Tensor], Tensor]] = {"hann": torch.clone, "sqrt_hann": torch.sqrt}


def handles(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is of nussl's oracles that Soloist has."""
    return str(config.get("system", "")).startswith("nussl") and config.get("class") in _RULES


def from_reference(
    config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """The oracle of a reference vector.

    Args:
        config: `class`, `args` and `stft`, which is [window length, hop length, window].
        state: Nothing; oracles have no weights.

    Returns:
        A callable on the mixture `(channels, samples)` and the sources `(sources, channels, samples)` that
        returns the estimates as `audio/<i>` `(channels, samples)`, and the first one's mask as `mask/0`
        `(frequency, frames, channels)`.
    """
    if state:
        raise ModelError(f"{config['class']} of nussl has no weights, but was given {sorted(state)[0]}")
    arguments = dict(config["args"])
    rule = _RULES[config["class"]]
    if arguments.pop("approach", "psa") == "msa":
        rule = _magnitude_mask
    if arguments:
        raise ModelError(f"{config['class']} of nussl has no argument {sorted(arguments)[0]!r} here")
    n_fft, hop_length, window = config["stft"]
    if window not in _WINDOWS:
        raise ModelError(f"the window {window!r} is none of {', '.join(_WINDOWS)}")
    stft = STFT(n_fft, hop_length, window, pad_mode="constant", scaled=True)
    # In double precision, so that masks of what is next to silent are the same too.
    stft.window = _WINDOWS[window](torch.hann_window(n_fft, dtype=torch.float64))
    stft.scale = float(1 / stft.window.sum())
    return partial(_separate, rule, stft)


def _separate(rule: Rule, stft: STFT, mixture: Tensor, sources: Tensor) -> dict[str, Tensor]:
    mixture, sources = torch.as_tensor(mixture).double(), torch.as_tensor(sources).double()
    spectrum = stft(mixture[None])
    masks = rule(spectrum, stft(sources)[None])[0]
    estimates = stft.inverse(spectrum * masks, mixture.shape[-1])
    outputs = {f"audio/{index}": estimate.float() for index, estimate in enumerate(estimates)}
    return outputs | {"mask/0": rearrange(masks[0], "c f t -> f t c")}


def _binary_mask(mixture: Tensor, sources: Tensor) -> Tensor:
    magnitudes = sources.abs()
    return (magnitudes == magnitudes.amax(dim=1, keepdim=True)).to(magnitudes.dtype)


def _magnitude_mask(mixture: Tensor, sources: Tensor) -> Tensor:
    return share(sources.abs(), _FLOOR)


def _phase_sensitive_mask(mixture: Tensor, sources: Tensor) -> Tensor:
    whole = mixture[:, None]
    aligned = sources.abs() * (sources.angle() - whole.angle()).cos()
    return share(torch.minimum(aligned.clamp(min=0), whole.abs()), _FLOOR)


def _wiener_mask(mixture: Tensor, sources: Tensor) -> Tensor:
    models = share(sources.abs(), torch.finfo(torch.float64).eps) * mixture[:, None]
    filtered = wiener_filter(mixture, models, _WIENER_FLOOR)
    return filtered.abs() / mixture.abs().clamp(min=1e-7)[:, None]


_RULES: dict[str, Rule] = {
    "benchmark.IdealBinaryMask": _binary_mask,
    "benchmark.IdealRatioMask": _phase_sensitive_mask,
    "benchmark.WienerFilter": _wiener_mask,
}
