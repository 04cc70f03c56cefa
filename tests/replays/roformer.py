"""RoFormers as vectors record them: the networks on waveforms, and whole tracks cut in four ways.

The original differs in this: a waveform has no frame beyond its last whole hop, and a Mel-Band RoFormer
returns only whole hops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from replays.msst_cutting import audio_separator_demix, demix, read_slices, with_bigshifts, with_flips
from soloist.separators import SpectralSeparator
from soloist.zoo.importers.roformer import make_separator, separator_config


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of a RoFormer."""
    return config.get("system") == "roformer" and config.get("class") in ("BSRoformer", "MelBandRoformer")


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Any]:
    """Rebuild the function that a vector records.

    A network maps `(batch, channels, samples)` to `(batch, sources, channels, samples)`, a Mel-Band RoFormer
    of one source to `(batch, channels, samples)`; a whole track maps `(channels, samples)` to slices of its
    estimates, by their names.

    Raises:
        ModelError: The weights do not fit the arguments.
    """
    model = dict(config["kwargs"])
    sources = [f"source{index}" for index in range(model.get("num_stems", 1))]
    separator = make_separator(separator_config(model, sources, 44100, 101), state)
    mel = config["class"] == "MelBandRoformer"
    whole_hops = mel and not model.get("match_input_audio_length", False)

    @torch.no_grad()
    def estimate(mixture: Tensor) -> Tensor:
        estimates = separate_hops(separator, torch.as_tensor(mixture), whole_hops)
        return estimates[:, 0] if mel and len(sources) == 1 else estimates

    if "yaml" not in config:
        return estimate
    if "overlap" in config:
        separator.network.zero_dc = False
        return _audio_separator_run(separator, config)
    return _msst_run(estimate, config)


def separate_hops(separator: SpectralSeparator, mixture: Tensor, whole_hops: bool) -> Tensor:
    """Estimate from the frames of a mixture `(batch, channels, samples)` up to its last whole hop."""
    transform, samples = separator.transform, mixture.shape[-1]
    hops = samples // transform.hop_length
    # Reflected here, because Soloist's transform completes the last hop.
    padded = pad(mixture, (0, transform.n_fft // 2), mode="reflect")
    coefficients = transform(padded)[..., : hops + 1]
    estimates = separator.estimate_coefficients(coefficients)
    return separator.synthesize(estimates, hops * transform.hop_length if whole_hops else samples)


def _audio_separator_run(
    separator: SpectralSeparator, config: Mapping[str, Any]
) -> Callable[[Tensor], dict[str, Tensor]]:
    """A track as audio-separator cuts it; of two stems with one target, the second is the rest."""
    chunk = config["kwargs"]["stft_hop_length"] * (config["yaml"]["inference"]["dim_t"] - 1)

    @torch.no_grad()
    def run(track: Tensor) -> dict[str, Tensor]:
        track = torch.as_tensor(track)
        estimates = audio_separator_demix(
            lambda mixture: separate_hops(separator, mixture, whole_hops=True),
            track,
            chunk,
            config["overlap"],
        )
        stems = (
            torch.cat([estimates, track - estimates]) if len(config["stems"]) > len(estimates) else estimates
        )
        return read_slices(stems, config["slices"])

    return run


def _msst_run(estimate: Callable[[Tensor], Tensor], config: Mapping[str, Any]) -> Callable[[Tensor], Any]:
    chunk, overlaps = config["yaml"]["audio"]["chunk_size"], config["yaml"]["inference"]["num_overlap"]

    def cut(batch_size: int) -> Callable[[Tensor], Tensor]:
        return lambda track: demix(estimate, track, chunk, overlaps, batch_size)

    runs = {
        "batch1": cut(1),
        "batch8": cut(8),
        "batch1_tta": with_flips(cut(1)),
        "batch1_bigshifts3": with_bigshifts(cut(1), 3),
    }

    def run(track: Tensor) -> dict[str, Tensor]:
        return {
            f"{name}/{part}": values
            for name, separate in runs.items()
            for part, values in read_slices(separate(torch.as_tensor(track)), config["slices"]).items()
        }

    return run
