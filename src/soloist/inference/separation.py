"""Separation in one call, for the impatient."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from soloist.audio import read_audio
from soloist.errors import UsageError
from soloist.inference.engines import make_engine
from soloist.inference.stem_selection import StemSelection
from soloist.inference.stream import StreamSettings, measure_level, separate_stream
from soloist.zoo import DEFAULT_MODEL, card_of, load


def separate(
    audio: str | PathLike[str] | NDArray[np.floating],
    sample_rate: int | None = None,
    *,
    model: str = DEFAULT_MODEL,
    stems: Sequence[str] = (),
    two_stems: str | None = None,
    device: str = "auto",
    engine: str = "torch",
    settings: StreamSettings | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Separate a recording that fits in memory; `soloist.inference.FileJob` is for those that do not.

    Args:
        audio: A file of any format, or samples `(channels, samples)` or `(samples,)` in [-1, 1].
        sample_rate: Rate of the samples in Hz; a file knows its own.
        model: Name in the zoo or path of a model folder.
        stems: Names of the stems that are wanted; empty for all.
        two_stems: The stem that is wanted beside everything else.
        device: "auto", "cpu", "cuda", "mps".
        engine: What runs the network: one of `soloist.inference.ENGINES`.
        settings: Chunks, overlap, shifts, batches.

    Returns:
        For each stem its samples `(channels, samples)`, at the rate and of the length of the input.

    Raises:
        AudioError: The file cannot be read.
        UsageError: Samples without a rate, a stem that the model does not have, or an engine that cannot run
            it.

    Example:
        >>> stems = soloist.separate("song.mp3", two_stems="vocals")  # doctest: +SKIP
    """
    mixture, rate = _load_audio(audio, sample_rate)
    any_rate = card_of(model).sample_rate is None
    overrides = {"sample_rate": rate, "channels": mixture.shape[0]} if any_rate else {}
    separator = load(model, **overrides)
    selection = StemSelection(tuple(stems), two_stems)
    selection.check(separator.sources)
    pairs = separate_stream(
        separator,
        [mixture],
        rate,
        engine=make_engine(engine, separator, device),
        level=measure_level([mixture]),
        settings=settings,
    )
    pieces = [selection.select(block, estimates, separator.sources) for block, estimates in pairs]
    names = selection.names(separator.sources)
    return dict(zip(names, np.concatenate(pieces, axis=-1), strict=True))


def _load_audio(
    audio: str | PathLike[str] | NDArray[np.floating], sample_rate: int | None
) -> tuple[NDArray[np.float32], int]:
    if not isinstance(audio, np.ndarray):
        return read_audio(audio)
    if sample_rate is None:
        raise UsageError("samples need their sample_rate (Hz)")
    samples = np.atleast_2d(audio).astype(np.float32, copy=False)
    if samples.ndim != 2 or not samples.shape[1] or not np.isfinite(samples).all():
        raise UsageError(f"audio must be finite samples (channels, samples), not of shape {audio.shape}")
    return samples, sample_rate
