"""nussl's oracles and bounds ("benchmark" separators).

nussl's binary masks give a point that sources share to none of them; its phase-sensitive masks are normalised
to add up to one, unlike those of the paper; its Wiener filter uses the magnitudes of norbert's.
`HighLowPassFilter` is among the algorithms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from replays.nussl.algorithms import is_binary
from soloist.errors import ModelError
from soloist.estimation import WienerEM
from soloist.separators.oracles import Rule, share
from soloist.transforms import STFT

_FLOOR = 1e-8
"""Constant added to sums of magnitudes before they divide."""

_WINDOWS: dict[str, Callable[..., Tensor]] = {
    "hann": torch.hann_window,
    "sqrt_hann": lambda length, dtype: torch.hann_window(length, dtype=dtype).sqrt(),
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "rectangular": torch.ones,
}

_MIXTURE = "benchmark.MixAsEstimate"


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of an oracle or bound that Soloist has."""
    known = config.get("class") in _RULES or config.get("class") == _MIXTURE
    return str(config.get("system", "")).startswith("nussl") and known


def from_reference(
    config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Callable[..., dict[str, Tensor]]:
    """Rebuild the oracle of a vector.

    Args:
        config: `class`, `args` (nussl's constructor arguments) and `stft`: [window length, hop length,
            window].
        state: Empty; oracles have no weights.

    Returns:
        A callable on the mixture `(channels, samples)` and the sources `(sources, channels, samples)` that
        returns the estimates as `audio/<i>` `(channels, samples)`, and the first one's mask as `mask/0`
        `(frequency, frames, channels)`. The mixture as an estimate needs no sources, and has no mask.

    Raises:
        ModelError: The oracle has no such argument, or nussl no such window.
    """
    if state:
        raise ModelError(f"{config['class']} of nussl has no weights, but was given {sorted(state)[0]}")
    arguments = dict(config["args"])
    if config["class"] == _MIXTURE:
        return partial(_copies, int(arguments["num_sources"]))
    binary = is_binary(arguments)
    try:
        rule = _RULES[config["class"]](binary, **arguments)
    except TypeError as error:
        raise ModelError(f"{config['class']} of nussl: {error}") from error
    return partial(_separate, rule, double_stft(*config["stft"]))


def double_stft(n_fft: int, hop_length: int, window: str) -> STFT:
    """Make nussl's transform, for audio in double precision.

    Raises:
        ModelError: nussl has no such window.
    """
    if window not in _WINDOWS:
        raise ModelError(f"the window {window!r} is none of {', '.join(_WINDOWS)}")
    stft = STFT(n_fft, hop_length, "hann", pad_mode="constant", scaled=True)
    # In double precision, so that masks of nearly silent points agree too.
    stft.window = _WINDOWS[window](n_fft, dtype=torch.float64)
    stft.scale = float(1 / stft.window.sum())
    return stft


def _separate(rule: Rule, stft: STFT, mixture: Tensor, sources: Tensor) -> dict[str, Tensor]:
    mixture, sources = torch.as_tensor(mixture).double(), torch.as_tensor(sources).double()
    spectrum = stft(mixture[None])
    masks = rule(spectrum, stft(sources)[None])[0]
    estimates = stft.inverse(spectrum * masks, mixture.shape[-1])
    outputs = {f"audio/{index}": estimate.float() for index, estimate in enumerate(estimates)}
    return outputs | {"mask/0": rearrange(masks[0], "c f t -> f t c")}


def _copies(count: int, mixture: Tensor, sources: Tensor | None = None) -> dict[str, Tensor]:
    return {f"audio/{index}": torch.as_tensor(mixture).clone() for index in range(count)}


def _binary_masks(binary: bool) -> Rule:
    def rule(mixture: Tensor, sources: Tensor) -> Tensor:
        magnitudes = sources.abs()
        loudest = magnitudes == magnitudes.amax(dim=1, keepdim=True)
        return (loudest & (loudest.sum(dim=1, keepdim=True) == 1)).to(magnitudes.dtype)

    return rule


def _ratio_masks(binary: bool, approach: str = "psa", range_min: float = 0.0, range_max: float = 1.0) -> Rule:
    if binary or approach not in ("psa", "msa"):
        raise ModelError("the ideal ratio masks of nussl are soft, and of the approach psa or msa")

    def rule(mixture: Tensor, sources: Tensor) -> Tensor:
        if approach == "msa":
            return share(sources.abs(), _FLOOR)
        whole = mixture[:, None]
        aligned = sources.abs() * (sources.angle() - whole.angle()).cos()
        return share(torch.clamp(aligned, range_min * whole.abs(), range_max * whole.abs()), _FLOOR)

    return rule


def _wiener_masks(
    binary: bool, iterations: int = 1, use_softmask: bool = True, eps: float | None = None
) -> Rule:
    wiener = WienerEM(
        iterations,
        start="mask" if use_softmask else "phase",
        window=None,
        eps=eps or torch.finfo(torch.float64).eps,
    )

    def rule(mixture: Tensor, sources: Tensor) -> Tensor:
        masks = wiener(mixture, sources.abs()).abs() / mixture.abs().clamp(min=1e-7)[:, None]
        return (masks == masks.amax(dim=1, keepdim=True)).to(masks.dtype) if binary else masks

    return rule


_RULES: dict[str, Callable[..., Rule]] = {
    "benchmark.IdealBinaryMask": _binary_masks,
    "benchmark.IdealRatioMask": _ratio_masks,
    "benchmark.WienerFilter": _wiener_masks,
}
