"""ISMIR 2020 U-Nets as vectors record them: networks, frameworks on waveforms, long tracks, initial weights.

The original differs in this: its spectrograms are `(batch, channels, frames, frequency)` and its waveforms
`(batch, samples, channels)`; time-independent blocks never scale time; the option `f_down_layers` has no
effect; a waveform loses its samples beyond the last whole hop; long tracks are cut into chunks that see zeros
in place of their neighbours, and come back as a whole number of chunks, in 16 bits.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from soloist.config import configuration_of
from soloist.errors import ModelError
from soloist.networks import TDC, TDCRNN, TDF, TFC, TFCTDF, UNet
from soloist.networks.unet.intermediate_blocks import band_weight
from soloist.separators import Chunking, SpectralSeparator, separate_chunked
from soloist.transforms import STFT
from soloist.zoo.importers import recognize
from soloist.zoo.importers.ismir2020_unets import make_separator

Options = Mapping[str, Any]
"""Options of the original's command line, as vectors record them."""


def handles(config: Options) -> bool:
    """Tell whether a vector is of this code base: a network, a framework, a long track, weights."""
    return config.get("system") == "ISMIR2020_U_Nets_SVS" and config.get("kind") in _KINDS


def from_reference(config: Options, state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild the function that a vector records.

    Kinds: "net" maps `[batch, channels, frames, frequency]`; "tdc17" maps `[channels, frequency,
    frames]`; "framework" maps `[batch, samples, channels]`; "longtrack" maps `[samples, channels]`;
    "dk" returns the initial weights by name, for any input.

    Raises:
        ModelError: The configuration lacks an option, or the weights do not fit it.
    """
    try:
        return _KINDS[config["kind"]](config, state)
    except KeyError as error:
        raise ModelError(f"the configuration of {config.get('class')} has no usable {error}") from None


def _net(options: Options, state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    network = make_separator(from_options(options), state).network

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
    separator = make_separator(from_options(options), state)

    @torch.no_grad()
    def run(audio: Tensor) -> Tensor:
        mixture = rearrange(torch.as_tensor(audio), "b t c -> b c t")
        return rearrange(_estimate_whole_hops(separator, mixture), "b 1 c t -> b t c")

    return run


def _long_track(options: Options, state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    separator = make_separator(from_options(options), state)
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


def _estimate_whole_hops(separator: SpectralSeparator, mixture: Tensor) -> Tensor:
    """Estimate from a mixture `(batch, channels, samples)` without frames beyond its last whole hop."""
    transform = separator.transform
    hops = mixture.shape[-1] // transform.hop_length
    # Reflected here, because Soloist's transform completes the last hop.
    mixture = pad(mixture, (0, transform.n_fft // 2), mode="reflect")
    coefficients = transform(mixture)[..., : hops + 1]
    estimates = separator.estimate_coefficients(coefficients)[:, 0]
    return transform.inverse(estimates, hops * transform.hop_length)[:, None]


def _as_pcm16(audio: Tensor) -> Tensor:
    """Round to a 16-bit file whose samples were cut, not rounded, from 32 bits."""
    cut = torch.floor(torch.round(audio.double() * 2**31) / 2**16) / 2**15
    return cut.clamp(-1, 1 - 2**-15).to(audio.dtype)


def from_options(options: Options) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator for the original's options.

    The options of a network alone make a separator of magnitudes around it.

    Raises:
        KeyError: An option is missing, or the class is unknown.
    """
    n_fft, inputs = options["n_fft"], options["input_channels"]
    representation = options.get("spec_type", "magnitude")
    return configuration_of(
        SpectralSeparator,
        transform=configuration_of(STFT, n_fft=n_fft, hop_length=options.get("hop_length", n_fft // 2)),
        network=_network_from_options(options),
        sources=[options.get("target_name", "vocals")],
        sample_rate=44100,
        channels=inputs // 2 if representation == "complex" else inputs,
        representation=representation,
        mode=options.get("spec_est_mode", "masking"),
    )


def _network_from_options(options: Options) -> dict[str, Any]:
    name = options["class"].removesuffix("_Framework")
    depth = options["n_blocks"] // 2
    block = _BLOCKS[name](options)
    block["init_args"]["activation"] = options[f"{name.removesuffix('_NET').lower()}_activation"]
    frequency_only = name in ("TDC_NET", "TDF_NET")
    return configuration_of(
        UNet,
        block=block,
        input_channels=options["input_channels"],
        internal_channels=options["internal_channels"],
        num_blocks=options["n_blocks"],
        num_bins=options["n_fft"] // 2 + 1,
        time_levels=[] if frequency_only else _levels(options.get("t_down_layers"), depth),
        first_activation=options["first_conv_activation"],
        last_activation=options["last_activation"],
    )


_BLOCKS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "TFC_NET": lambda options: configuration_of(TFC, **_convolutions(options, "kernel_size_t")),
    "TDC_NET": lambda options: configuration_of(TDC, **_convolutions(options)),
    "TDF_NET": lambda options: configuration_of(TDF, **_bottleneck(options), bias=options["bias"]),
    "TFC_TDF_NET": lambda options: configuration_of(
        TFCTDF,
        **_convolutions(options, "kernel_size_t"),
        **_bottleneck(options),
        bias=options["tfc_tdf_bias"],
        keep_bands=options.get("tif_init_mode") == "dk",
    ),
    "TDC_RNN_NET": lambda options: configuration_of(
        TDCRNN,
        **_convolutions(options),
        rnn_factor=options["bn_factor_rnn"],
        rnn_layers=options["num_layers_rnn"],
        rnn_minimum_units=options["min_bn_units_rnn"],
        rnn_bias=options["bias_rnn"],
        bottleneck_factor=_optional(options["bn_factor_tdf"]),
        bias=options["bias_tdf"],
    ),
}


def _convolutions(options: Options, kernel_time: str | None = None) -> dict[str, Any]:
    sizes = {"layers": options["n_internal_layers"], "kernel_frequency": options["kernel_size_f"]}
    return sizes if kernel_time is None else {**sizes, "kernel_time": options[kernel_time]}


def _bottleneck(options: Options) -> dict[str, Any]:
    return {
        "bottleneck_factor": _optional(options["bn_factor"]),
        "minimum_units": options["min_bn_units"],
    }


def _optional(value: int | str | None) -> int | None:
    """Read a number or None, which the command line writes as a word."""
    return None if value is None or value in ("None", "none") else int(value)


def _levels(listed: str | None, depth: int) -> list[int] | None:
    """Read a list of levels, "[0, 2]" or "1", without those below the last level of the network."""
    if listed in (None, "None", "none"):
        return None
    value = ast.literal_eval(str(listed))
    levels: Iterable[int] = [value] if isinstance(value, int) else value
    return sorted({level for level in levels if level < depth})
