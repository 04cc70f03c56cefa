"""xumx-sliCQ, version 1: networks, and the steps around them.

The steps are transform, overlap-add, mixture's phase and Wiener filter, and all of them as a separator.
The original differs in this: its synthesis leaves out the mirror images of bands about 0 Hz and half the
sample rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import ModelError
from soloist.estimation import WienerEM, with_phase_of
from soloist.networks import BlockShape
from soloist.transforms import ScaleName, SliCQ, overlap_slices
from soloist.zoo.importers.xumx_slicq import by_block, make_network

Config = Mapping[str, Any]
"""Configuration of a vector."""

SCALES: dict[str, ScaleName] = {
    "bark": "bark",
    "mel": "mel",
    "cqlog": "constant-q",
    "vqlog": "variable-q",
    "oct": "octave",
}
"""Scales by the original's names."""

OUTPUTS = ("vocals", "drums", "bass", "other")
"""Order in which the original returns and filters sources."""


def handles(config: Config) -> bool:
    """Tell whether a vector is of this code base, and not of a loss."""
    return str(config.get("system", "")).startswith("xumx-sliCQ") and (
        config.get("kind") in STEPS or config.get("kind") == "net" or _is_block(config)
    )


def from_reference(config: Config, state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild the function that a vector records.

    Kinds: "net" maps magnitudes of blocks `[batch, channels, frequency, slices, coefficients]` to those of
    each source, named `source/block`, for the blocks that have a network; "cdae_block" maps those of one
    block to those of a source.

    Raises:
        ModelError: The configuration lacks an option, or the weights do not fit it.
    """
    try:
        if config["kind"] in STEPS:
            return STEPS[config["kind"]](config)
        return _block(config, state) if _is_block(config) else _net(config, state)
    except KeyError as error:
        raise ModelError(f"the configuration of {config.get('class')} has no usable {error}") from None


def _is_block(config: Config) -> bool:
    return str(config.get("kind", "")).endswith("_block")


def _net(config: Config, state: Mapping[str, Tensor]) -> Callable[[Sequence[Tensor]], dict[str, Tensor]]:
    blocks = by_block(state)
    if not blocks:
        raise ModelError(
            f"the weights are not those of {config['class']}: no bucketed_unmixes_* is among them"
        )
    shapes = [BlockShape(shape[-3], shape[-1]) for shape in config["args"]["jagged_shapes"]]
    # Convolutions in groups differ by 1e-5 from those of one source after the other, as in the original.
    networks = {
        source: make_network(
            shapes, [[blocks[index][source]] for index in sorted(blocks)], config["args"]["max_bin"]
        )
        for source in blocks[0]
    }

    @torch.no_grad()
    def run(magnitudes: Sequence[Tensor]) -> dict[str, Tensor]:
        mixture = [torch.as_tensor(block) for block in magnitudes]
        return {
            f"{source}/{index}": mask[:, 0] * mixture[index]
            for source, network in networks.items()
            for index, mask in enumerate(network(mixture)[: len(network.blocks)])
        }

    return run


def _block(config: Config, state: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    shape = config["args"]["slicq_sample_shape"]
    weights = {name: torch.as_tensor(value) for name, value in state.items()}
    network = make_network([BlockShape(shape[-3], shape[-1])], [[weights]])

    @torch.no_grad()
    def run(magnitudes: Tensor) -> Tensor:
        block = torch.as_tensor(magnitudes)
        return network([block])[0][:, 0] * block

    return run


def make_transform(arguments: Config) -> SliCQ:
    """Make the transform of the original's arguments.

    Raises:
        KeyError: The scale is unknown, or an argument is missing.
    """
    return SliCQ(
        SCALES[arguments["scale"]],
        arguments["fbins"],
        arguments["fmin"],
        sample_rate=arguments["fs"],
        gamma=arguments.get("gamma", 25.0),
        form="matrix" if arguments.get("matrixform") else "ragged",
        as_released=True,
    )


def _transform(config: Config) -> Callable[[Tensor], dict[str, Tensor]]:
    """Map audio `[channels, samples]` to blocks `[1, channels, frequency, slices, coefficients, part]`."""
    transform = make_transform(config["args"])
    return lambda audio: _numbered(map(torch.view_as_real, transform(torch.as_tensor(audio)[None])))


def _overlap_add(config: Config) -> Callable[[Sequence[Tensor]], dict[str, Tensor]]:
    """Map blocks of magnitudes to spectrograms with one axis of time."""
    return lambda blocks: _numbered(overlap_slices(torch.as_tensor(block)) for block in blocks)


def _mix_phase(config: Config) -> Callable[[Sequence[Tensor], Sequence[Tensor]], dict[str, Tensor]]:
    """Give blocks of magnitudes the phase of the mixture's blocks."""

    def run(mixture: Sequence[Tensor], magnitudes: Sequence[Tensor]) -> dict[str, Tensor]:
        pairs = zip(map(torch.as_tensor, mixture), map(torch.as_tensor, magnitudes), strict=True)
        return _numbered(
            torch.view_as_real(with_phase_of(size, torch.view_as_complex(block))) for block, size in pairs
        )

    return run


def _numbered(blocks: Iterable[Tensor]) -> dict[str, Tensor]:
    return {str(index): block for index, block in enumerate(blocks)}


def _wiener(config: Config) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """Map magnitudes `[frames, bins, channels, sources]` and the mixture to the estimates of each run."""
    filters = {
        name: _filter(run["iterations"], run["softmask"], residual=run.get("residual", False))
        for name, run in config["runs"].items()
    }

    def run(magnitudes: Tensor, mixture: Tensor) -> dict[str, Tensor]:
        whole = rearrange(torch.view_as_complex(torch.as_tensor(mixture)), "t f c -> 1 c f t")
        sources = rearrange(torch.as_tensor(magnitudes), "t f c s -> 1 s c f t")
        estimates = {
            name: torch.view_as_real(wiener(_written(whole, wiener), sources))
            for name, wiener in filters.items()
        }
        return {
            name: rearrange(estimate, "1 s c f t part -> t f c part s")
            for name, estimate in estimates.items()
        }

    return run


def _separator(config: Config) -> Callable[[Tensor, Mapping[str, Tensor]], Tensor]:
    """Map audio `[channels, samples]` and magnitudes to estimates `[sources, channels, samples]`.

    Magnitudes are named `source/block`.
    """
    arguments = config["args"]
    transform = make_transform(arguments)
    on_blocks = _filter(arguments["niter"], arguments["softmask"])
    on_frames = _filter(arguments["niter"], arguments["softmask"], window=arguments["wiener_win_len"])

    def run(audio: Tensor, magnitudes: Mapping[str, Tensor]) -> Tensor:
        mixture = torch.as_tensor(audio)[None]
        mixed = transform(mixture)
        sizes = [
            torch.stack([torch.as_tensor(magnitudes[f"{source}/{index}"]) for source in OUTPUTS], dim=1)
            for index in range(len(mixed))
        ]
        if not arguments["stft_wiener"]:
            written = [_written(block, on_blocks) for block in mixed]
            return _synthesize(transform, on_blocks.filter_blocks(written, sizes), mixture.shape[-1])
        blocks = [with_phase_of(size, block[:, None]) for size, block in zip(sizes, mixed, strict=True)]
        estimates = _synthesize(transform, blocks, mixture.shape[-1])
        return _filter_frames(on_frames, mixture[0], estimates, arguments["n_fft"], arguments["n_hop"])

    return run


def _filter(iterations: int, soft: bool, *, residual: bool = False, window: int | None = None) -> WienerEM:
    return WienerEM(iterations, "mask" if soft else "phase", residual=residual, window=window)


def _written(mixture: Tensor, wiener: WienerEM) -> Tensor:
    """Mixture with ones in place of zeros, which the original writes before it takes the phase."""
    return mixture if wiener.start == "mask" else mixture.masked_fill(mixture == 0, 1)


def _synthesize(transform: SliCQ, blocks: Sequence[Tensor], length: int) -> Tensor:
    """Synthesise audio `(sources, channels, length)` from blocks of one item."""
    return transform.inverse([block[0] for block in blocks], length)


def _filter_frames(
    wiener: WienerEM, mixture: Tensor, estimates: Tensor, n_fft: int, hop_length: int
) -> Tensor:
    """Filter audio `(sources, channels, samples)` on frames without a window, which the original forgets."""
    window = mixture.new_ones(n_fft)
    whole, parts = (
        torch.stft(signals.flatten(0, -2), n_fft, hop_length, window=window, return_complex=True)
        for signals in (mixture, estimates)
    )
    sizes = rearrange(parts.abs(), "(s c) f t -> 1 s c f t", c=len(mixture))
    filtered = rearrange(wiener(_written(whole, wiener)[None], sizes), "1 s c f t -> (s c) f t")
    audio = torch.istft(filtered, n_fft, hop_length, window=window, length=mixture.shape[-1])
    return audio.unflatten(0, (-1, len(mixture)))


STEPS: Mapping[str, Callable[[Config], Callable[..., Any]]] = {
    "transform": _transform,
    "ola": _overlap_add,
    "phasemix": _mix_phase,
    "wiener": _wiener,
    "separator": _separator,
}
"""Steps around the networks, by the kind of a vector."""
