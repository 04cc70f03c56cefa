"""nussl's training-free algorithms.

Differences from the papers are switched on here: `RepetSim(picking="greedy")`, `FT2D(as_released=True)`, and
binary masks that give a bin in which both sources tie to both.

E. Manilow, P. Seetharaman and B. Pardo, "The Northwestern University Source Separation Library",
ISMIR 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import ModelError
from soloist.separators import FT2D, HPSS, RPCA, Crossover, MaskSeparator, Repet, RepetSim
from soloist.transforms import Window

# Names of constructor arguments in nussl and in Soloist.
_ARGUMENTS: dict[str, dict[str, str]] = {
    "HPSS": {"kernel_size": "kernel_size"},
    "Repet": {
        "min_period": "min_period",
        "max_period": "max_period",
        "period": "period",
        "high_pass_cutoff": "high_pass",
    },
    "RepetSim": {
        "similarity_threshold": "threshold",
        "min_distance_between_frames": "min_distance",
        "max_repeating_frames": "max_frames",
        "high_pass_cutoff": "high_pass",
    },
    "FT2D": {
        "neighborhood_size": "neighborhood",
        "high_pass_cutoff": "high_pass",
        "quadrants_to_keep": "quadrants",
        "filter_approach": "peaks",
        "use_bg_2dft": "model",
    },
    "RPCA": {
        "high_pass_cutoff": "high_pass",
        "num_iterations": "max_iterations",
        "epsilon": "tolerance",
    },
    "HighLowPassFilter": {"high_pass_cutoff_hz": "frequency"},
}

# Names of FT2D's filter approaches in nussl and in Soloist.
_PEAKS = {"local_std": "prominence", "original": "threshold"}

Arguments = dict[str, Any]


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of a training-free algorithm that Soloist has."""
    system, kind = str(config.get("system", "")), config.get("kind")
    return system.startswith("nussl") and kind == "classical" and _class_name(config) in _ARGUMENTS


def from_reference(
    config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Callable[[Tensor], dict[str, Tensor]]:
    """Rebuild the algorithm of a vector.

    Args:
        config: `class`, `args` (nussl's constructor arguments), `sample_rate` in Hz and `stft`: [window
            length, hop length, window].
        state: Empty; the algorithms have no weights.

    Returns:
        A callable on audio `(channels, samples)` that returns nussl's estimates in its order as
        `audio/<i>` `(channels, samples)`, and the mask of the first as `mask/0`
        `(frequency, frames, channels)`.

    Raises:
        ModelError: The algorithm has no such argument.
    """
    if state:
        raise ModelError(f"{_class_name(config)} of nussl has no weights, but was given {sorted(state)[0]}")
    arguments = dict(config["args"])
    binary = is_binary(arguments)

    def separate(audio: Tensor) -> dict[str, Tensor]:
        separator = _build(config, arguments, channels=audio.shape[0])
        return _separate(separator, torch.as_tensor(audio), binary)

    _build(config, arguments, channels=1)  # Wrong arguments raise here, before any input.
    return separate


def _class_name(config: Mapping[str, Any]) -> str:
    return str(config.get("class", "")).rsplit(".", 1)[-1]


def is_binary(arguments: Arguments) -> bool:
    """Tell whether masks are binary, and remove the arguments about that."""
    # nussl stores a threshold that no algorithm reads.
    arguments.pop("mask_threshold", None)
    return str(arguments.pop("mask_type", "soft")).lower() == "binary"


def _build(config: Mapping[str, Any], arguments: Arguments, channels: int) -> MaskSeparator:
    name = _class_name(config)
    unknown = set(arguments) - set(_ARGUMENTS[name])
    if unknown:
        raise ModelError(f"nussl's {name} has no argument {sorted(unknown)[0]!r}")
    options = {_ARGUMENTS[name][key]: value for key, value in arguments.items()}
    return _BUILDERS[name](options | stft_options(config) | {"channels": channels})


def stft_options(config: Mapping[str, Any]) -> Arguments:
    """Rate and transform of a vector as arguments of `MaskSeparator`.

    Raises:
        ModelError: Soloist has no such window.
    """
    n_fft, hop_length, window = config["stft"]
    if window not in get_args(Window):
        raise ModelError(f"the window {window!r} is none of {', '.join(get_args(Window))}")
    rate = {"sample_rate": config["sample_rate"]}
    return rate | {"n_fft": n_fft, "hop_length": hop_length, "window": window}


def _hpss(options: Arguments) -> MaskSeparator:
    size = options.pop("kernel_size", 31)
    harmonic, percussive = (size, size) if isinstance(size, int) else size
    return HPSS(harmonic_kernel=harmonic, percussive_kernel=percussive, **options)


def _repet(options: Arguments) -> MaskSeparator:
    # None and zero mean nussl's defaults.
    options["min_period"] = options.get("min_period") or 0.8
    options["max_period"] = options.get("max_period") or 8.0
    return Repet(**options)


def _repet_sim(options: Arguments) -> MaskSeparator:
    return RepetSim(picking="greedy", **options)


def _ft2d(options: Arguments) -> MaskSeparator:
    size = options.pop("neighborhood", (1, 25))
    options["neighborhood"] = (size, size) if isinstance(size, int) else tuple(size)
    approach = options.get("peaks", "local_std")
    if approach not in _PEAKS:
        raise ModelError(f"nussl's FT2D has no filter approach {approach!r}")
    options["peaks"] = _PEAKS[approach]
    options["model"] = "background" if options.get("model", True) else "foreground"
    return FT2D(as_released=True, **options)


_BUILDERS: dict[str, Callable[[Arguments], MaskSeparator]] = {
    "HPSS": _hpss,
    "Repet": _repet,
    "RepetSim": _repet_sim,
    "FT2D": _ft2d,
    "RPCA": lambda options: RPCA(**options),
    "HighLowPassFilter": lambda options: Crossover(**options),
}


def _separate(separator: MaskSeparator, audio: Tensor, binary: bool) -> dict[str, Tensor]:
    # In double precision, so that only nussl's own rounding differs.
    spectrum = separator.stft(audio[None].double())
    masks = separator.masks(spectrum.abs())[0]
    if separator.sources == ("vocals", "accompaniment"):
        masks = masks.flip(0)  # nussl puts the background first.
    if binary:
        masks = (masks == masks.amax(dim=0)).to(masks)
    estimates = separator.stft.inverse(spectrum * masks, audio.shape[-1]).to(audio.dtype)
    outputs = {f"audio/{index}": estimate for index, estimate in enumerate(estimates)}
    return outputs | {"mask/0": rearrange(masks[0], "c f t -> f t c").to(audio.dtype)}
