"""The ISMIR 2020 U-Nets (github.com/ws-choi/ISMIR2020_U_Nets_SVS) and the TDC-17 of its early notebooks.

Theirs and ours differ in this: their spectrograms are `(batch, channels, frames, frequency)` and their
waveforms `(batch, samples, channels)`; time-independent blocks never scale time; the option
`f_down_layers` is ignored; a waveform loses what lies beyond its last whole hop; long tracks are cut
into chunks that see zeros in place of their neighbours, and come back as a whole number of chunks,
in 16 bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from soloist.errors import ModelError
from soloist.networks import SpectralNetwork
from soloist.networks.unet.intermediate_blocks import band_weight
from soloist.separators import Chunking, SpectralSeparator, build_separator, separate_chunked
from soloist.zoo.importers import ImportedModel
from soloist.zoo.importers.ismir2020_unets_options import Options, from_options, from_shapes

CARD = {
    "system": "U-Net with intermediate blocks (ISMIR 2020)",
    "title": "Vocals from songs, by a U-Net on spectrograms",
    # Of the code; whose weights these are, only the card of a known file can say.
    "licence": {"code": "MIT"},
    "citation": (
        "Woosung Choi, Minseok Kim, Jaehwa Chung, Daewon Lee, Soonyoung Jung: Investigating U-Nets with "
        "various Intermediate Blocks for Spectrogram-based Singing Voice Separation. ISMIR 2020."
    ),
    "notes": (
        "Activations, the hop of the transform, mapping or masking, the source and the sample rate are not "
        "stored with the weights: they are taken as published."
    ),
}


def handles(config: Options) -> bool:
    """Whether a reference vector is of this code base: a network, a framework, a long track, weights."""
    return config.get("system") == "ISMIR2020_U_Nets_SVS" and config.get("kind") in _KINDS


def from_reference(config: Options, state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild what a vector records, with the original's axes.

    Kinds: "net" maps `[batch, channels, frames, frequency]`; "tdc17" maps `[channels, frequency,
    frames]`; "framework" maps `[batch, samples, channels]`; "longtrack" maps `[samples, channels]`;
    "dk" returns the initial weights by name, whatever it is given.

    Raises:
        ModelError: The configuration lacks an option, or the weights do not fit it.
    """
    try:
        return _KINDS[config["kind"]](config, state)
    except KeyError as error:
        raise ModelError(f"the configuration of {config.get('class')} has no usable {error}") from None


def recognize(state: Mapping[str, Tensor]) -> ImportedModel | None:
    """The separator of a checkpoint: of the framework's (`spec2spec.*`), of a network, or of TDC-17.

    What no weight tells is taken as published: rectified linear units inside, the hop of the published
    commands, complex spectrograms mapped and magnitudes masked by a sigmoid, vocals at 44.1 kHz.

    Raises:
        ModelError: The names are this code base's, but the shapes are not of any of its networks.
    """
    names = {name.removeprefix("spec2spec.") for name in state}
    if not {"first_conv.0.weight", "first_conv.1.running_mean"} <= names or not any(
        name.startswith("mid_block.") for name in names
    ):
        return None
    try:
        config = from_shapes(_without_prefix(state), state.get("stft.stft.window"))
    except KeyError as error:
        raise ModelError(f"the checkpoint of a U-Net is incomplete: it has no {error}") from None
    separator = _separator(config, state)
    parameters = sum(weight.numel() for weight in separator.network.parameters())
    card = {**CARD, "sources": list(separator.sources), "sample_rate": separator.sample_rate}
    return ImportedModel(
        separator, config, {**card, "channels": separator.channels, "parameters": parameters}
    )


def _net(options: Options, state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    network = _separator(from_options(options), state).network

    @torch.no_grad()
    def run(spectrogram: Tensor) -> Tensor:
        return network(torch.as_tensor(spectrogram).transpose(-1, -2)).transpose(-1, -2)

    return run


def _tdc17(options: Options, state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    found = recognize(state)
    if found is None:
        raise ModelError(f"the weights are not those of {options['class']}: give the checkpoint's state dict")
    network = cast(SpectralSeparator, found.separator).network

    @torch.no_grad()
    def run(spectrogram: Tensor) -> Tensor:
        return network(torch.as_tensor(spectrogram)[None])[0]

    return run


def _framework(options: Options, state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    separator = _separator(from_options(options), state)

    @torch.no_grad()
    def run(audio: Tensor) -> Tensor:
        mixture = rearrange(torch.as_tensor(audio), "b t c -> b c t")
        return rearrange(_estimate_whole_hops(separator, mixture), "b 1 c t -> b t c")

    return run


def _long_track(options: Options, state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    separator = _separator(from_options(options), state)
    hop = separator.transform.hop_length
    trim = -(-5000 // hop) * hop
    chunking = Chunking(length=hop * (options["num_frame"] - 1), trim=trim, edges="zeros")

    @torch.no_grad()
    def run(track: Tensor) -> Tensor:
        mixture = rearrange(torch.as_tensor(track), "t c -> 1 c t")
        mixture = pad(mixture, (0, -mixture.shape[-1] % chunking.step))
        return _as_pcm16(rearrange(separate_chunked(separator, mixture, chunking), "1 1 c t -> t c"))

    return run


def _initial_weights(options: Options, state: Mapping[str, Tensor]) -> Callable[..., dict[str, Tensor]]:
    cases = options["cases"]
    listed = re.search(r"bn=([\d,]+) for f=([\d,]+) with min (\d+)", cases)
    weights = {}
    if listed is not None:
        factors, widths = ([int(number) for number in group.split(",")] for group in listed.group(1, 2))
        for factor, bins in zip(factors, widths, strict=True):
            units = max(bins // factor, int(listed.group(3)))
            weights[f"weight_{bins}_down"] = band_weight(units, bins)
            weights[f"weight_{bins}_up"] = band_weight(bins, units)
    for bins in map(int, re.findall(r"weight_(\d+)_single", cases)):
        weights[f"weight_{bins}_single"] = band_weight(bins, bins)
    return lambda *_: weights


_KINDS: dict[str, Callable[[Options, Mapping[str, Tensor]], Callable[..., Any]]] = {
    "net": _net,
    "tdc17": _tdc17,
    "framework": _framework,
    "longtrack": _long_track,
    "dk": _initial_weights,
}


def _separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> SpectralSeparator:
    separator = cast(SpectralSeparator, build_separator(config, "the U-Net's configuration"))
    _load(separator.network, state)
    return separator


def _estimate_whole_hops(separator: SpectralSeparator, mixture: Tensor) -> Tensor:
    """Estimate a mixture `(batch, channels, samples)` from the frames that begin no later than its end."""
    transform = separator.transform
    hops = mixture.shape[-1] // transform.hop_length
    # Reflected here, so that our transform, which completes the last hop, meets the same samples.
    mixture = pad(mixture, (0, transform.n_fft // 2), mode="reflect")
    coefficients = transform(mixture)[..., : hops + 1]
    estimates = separator.estimate_coefficients(coefficients)[:, 0]
    return transform.inverse(estimates, hops * transform.hop_length)[:, None]


def _as_pcm16(audio: Tensor) -> Tensor:
    """What a 16-bit file gives back whose samples were cut, not rounded, from 32 bits."""
    cut = torch.floor(torch.round(audio.double() * 2**31) / 2**16) / 2**15
    return cut.clamp(-1, 1 - 2**-15).to(audio.dtype)


_RENAMED = [
    (r"^first_conv\.0\.", "entry.conv."),
    (r"^first_conv\.1\.", "entry.norm."),
    (r"^(?:last|final)_conv\.0\.", "exit."),
    (r"^(down|up)samplings?\.(\d+)\.(?:0|conv)\.", r"\1s.\2.conv."),
    (r"^(down|up)samplings?\.(\d+)\.(?:1|bn)\.", r"\1s.\2.norm."),
    (r"^mid_block\.", "middle."),
    (r"\.(?:tfc|tic)\.H\.", ".dense.H."),
    (r"\.H\.(\d+)\.0\.", r".layers.\1.conv."),
    (r"\.H\.(\d+)\.1\.", r".layers.\1.norm."),
    (r"\.bn\.", ".norm."),
    (r"\.(?:tif|tif_f1_to_f2)\.tif\.", ".transform.tif."),
    (r"\.tif\.0\.", ".0.linear."),
    (r"\.tif\.1\.", ".0.norm."),
    (r"\.tif\.3\.", ".1.linear."),
    (r"\.tif\.4\.", ".1.norm."),
]


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix("spec2spec."): torch.as_tensor(value)
        for name, value in state.items()
        if not name.startswith("stft.")
    }


def _translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their names and axes to ours: kernels are `(frames, bins)` there and `(bins, frames)` here."""
    theirs = _without_prefix(state)
    # The early notebooks had frequency first outside, and so in the first and the last convolution.
    early = "final_conv.0.weight" in theirs
    ours = {}
    for name, value in theirs.items():
        if value.ndim == 4 and not (early and name in ("first_conv.0.weight", "final_conv.0.weight")):
            value = value.transpose(-1, -2)
        if value.ndim == 3:
            value = value[..., None]
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        ours[name] = value.contiguous()
    return ours


def _load(network: SpectralNetwork, state: Mapping[str, Tensor]) -> None:
    try:
        network.load_state_dict(_translate(state))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights do not fit the U-Net of the configuration: {reason}") from None
