"""MDX-Net as vectors record it: networks, audio-separator end to end, the challenge's submission.

audio-separator's defects are included: the level of the primary stem, and a secondary stem on another scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from soloist.separators import SpectralSeparator
from soloist.zoo.importers.mdx_net import from_layout, make_separator
from soloist.zoo.importers.mdx_net_layers import NetworkLayout, read_graph, read_state
from soloist.zoo.onnx_graph import read_onnx

Given = Mapping[str, Tensor]
"""Weights under the original's names; the bytes of ONNX files as `onnx` and `onnx/<target>`."""


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of an MDX-Net."""
    return config.get("system") == "mdxnet" and config.get("class") in _KINDS


def from_reference(config: Mapping[str, Any], state: Given) -> Callable[[Tensor], Any]:
    """Rebuild the function that a vector records.

    A network maps `(batch, 4, bins, frames)`; audio-separator and the submission map a track
    `(channels, samples)` to stems by their names.

    Raises:
        ModelError: The weights do not fit.
    """
    return _KINDS[config["class"]](config, state)


def separator_of(onnx: Tensor, facts: Mapping[str, Any]) -> SpectralSeparator:
    """Separator of the bytes of an ONNX file, with known facts."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(np.asarray(onnx, np.uint8).tobytes())
        content = read_onnx(path)
    layout = read_graph(content["onnx"], content["state_dict"])
    return make_separator(from_layout(layout, facts, 16), layout, 1.0)


def _network(config: Mapping[str, Any], state: Given) -> Callable[[Tensor], Tensor]:
    options = config["kwargs"]
    layout = read_state({name: torch.as_tensor(value) for name, value in state.items()})
    facts = {"n_fft": options["n_fft"], "hop_length": options["hop_length"], "muted": 0}
    sizes = {**layout.sizes, "num_input_bins": options["dim_f"]}
    network = make_separator(
        from_layout(NetworkLayout(sizes, layout.weights), facts, options["dim_t"]), layout, 1.0
    ).network

    @torch.no_grad()
    def run(spectrogram: Tensor) -> Tensor:
        spectrogram = torch.as_tensor(spectrogram)
        bins = spectrogram.shape[-2]
        return network(pad(spectrogram, (0, 0, 0, network.num_bins - bins)))[:, :, :bins]

    return run


def _audio_separator(config: Mapping[str, Any], state: Given) -> Callable[[Tensor], dict[str, Tensor]]:
    data, arch = config["kwargs"]["model_data"], config["kwargs"]["arch_config"]
    common, hop = config["kwargs"]["common"], arch["hop_length"]
    facts = {"n_fft": data["mdx_n_fft_scale_set"], "hop_length": hop}
    separator = separator_of(state["onnx"], facts)
    chunk = hop * (arch["segment_size"] - 1)

    @torch.no_grad()
    def run(track: Tensor) -> dict[str, Tensor]:
        track = torch.as_tensor(track)
        peak = track.abs().max()
        loudest, softest = common["normalization_threshold"], common["amplification_threshold"]
        scaled = track / peak * loudest if peak > loudest else track
        scaled = track / peak * softest if peak < softest else scaled
        estimate = _overlapped(separator, scaled, chunk, arch["overlap"], denoise=arch["enable_denoise"])
        primary = estimate * peak
        secondary = scaled - data["compensate"] * primary
        return {"demix": estimate, "primary": primary, "secondary": secondary}

    return run


def _overlapped(
    separator: SpectralSeparator, mixture: Tensor, chunk: int, overlap: float, *, denoise: bool
) -> Tensor:
    """Estimate `(channels, samples)` from chunks under symmetric Hann windows, as audio-separator does."""
    trim, samples = separator.transform.n_fft // 2, mixture.shape[-1]
    core = chunk - 2 * trim
    padded = pad(mixture, (trim, core + trim - samples % core))
    length = padded.shape[-1]
    total, weight = torch.zeros_like(padded), torch.zeros(length)
    for start in range(0, length, int((1 - overlap) * chunk)):
        count = min(chunk, length - start)
        piece = pad(padded[:, start : start + count], (0, chunk - count))[None]
        estimated = separator.estimate(piece)
        if denoise:
            estimated = (estimated - separator.estimate(-piece)) / 2
        window = torch.from_numpy(np.hanning(count)).float() if overlap else torch.ones(count)
        total[:, start : start + count] += estimated[0, 0, :, :count] * window
        weight[start : start + count] += window
    return (total / weight)[:, trim : length - trim][:, :samples]


def _submission(config: Mapping[str, Any], state: Given) -> Callable[[Tensor], dict[str, Tensor]]:
    options = config["kwargs"]
    separators = [
        separator_of(
            state[f"onnx/{target}"],
            {"n_fft": config["n_fft"][target], "hop_length": options["hop"], "muted": 0},
        )
        for target in config["targets"]
    ]
    chunk = options["hop"] * (2 * 2 ** options["dim_t"] - 1)

    @torch.no_grad()
    def run(track: Tensor) -> dict[str, Tensor]:
        track = torch.as_tensor(track)
        estimates = torch.stack([_side_by_side(separator, track, chunk) for separator in separators])
        seen = torch.cat([estimates.flatten(0, 1), track])
        mixed = (torch.as_tensor(state["mixer.linear.weight"]) @ seen).unflatten(0, estimates.shape[:2])
        return {"without_mixer": estimates, "with_mixer": mixed}

    return run


def _side_by_side(separator: SpectralSeparator, mixture: Tensor, chunk: int) -> Tensor:
    """Estimate `(channels, samples)` from the middles of chunks, one beside the other."""
    trim, samples = separator.transform.n_fft // 2, mixture.shape[-1]
    core = chunk - 2 * trim
    padded = pad(mixture, (trim, core - samples % core + trim))
    chunks = padded.unfold(-1, chunk, core).transpose(0, 1)
    middles = separator.estimate(chunks)[:, 0, :, trim : chunk - trim]
    return middles.transpose(0, 1).flatten(1)[:, :samples]


_KINDS: dict[str, Callable[[Mapping[str, Any], Given], Callable[[Tensor], Any]]] = {
    "ConvTDFNet": _network,
    "MDXSeparator": _audio_separator,
    "MDXNet.demix_base": _submission,
}
