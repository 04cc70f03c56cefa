"""Separation of a recording in memory, in one call."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import SupportsFloat

import numpy as np

from soloist.audio import Audio, StemWriter, WriteOptions
from soloist.audio.file_formats import Format
from soloist.inference.engines import make_engine
from soloist.inference.outputs import stem_paths
from soloist.inference.recording import AudioInput, read_recording
from soloist.inference.stem_selection import StemSelection
from soloist.inference.stream import StreamSettings, measure_level, separate_stream
from soloist.zoo import card_of, choose_default, load

_log = logging.getLogger(__name__)


class Separation(Mapping[str, Audio]):
    """The stems of a recording: a read-only mapping from name to samples `(channels, samples)`, float32.

    Args:
        stems: Samples of each stem, of equal shapes.
        sample_rate: Their rate, Hz.

    Attributes:
        sample_rate: Rate of the stems, Hz.

    Example:
        >>> separation = Separation({"vocals": np.zeros((2, 44100), np.float32)}, 44100)
        >>> list(separation), separation["vocals"].shape, separation.sample_rate
        (['vocals'], (2, 44100), 44100)
    """

    def __init__(self, stems: Mapping[str, Audio], sample_rate: int) -> None:
        self._stems = dict(stems)
        self.sample_rate = sample_rate

    def __getitem__(self, name: str) -> Audio:
        return self._stems[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stems)

    def __len__(self) -> int:
        return len(self._stems)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {stem.shape}" for name, stem in self.items())
        return f"<{type(self).__name__} at {self.sample_rate} Hz: {shapes}>"

    def save(self, folder: str | PathLike[str], *, format: Format = "wav") -> dict[str, Path]:
        """Write each stem as `<folder>/<stem>.<format>`: all files, or none.

        Args:
            folder: The output folder; made if missing.
            format: One of `soloist.audio.FORMATS`, except the multi-stream "stem".

        Returns:
            The file of each stem.

        Raises:
            UsageError: The format is unknown, or a stem's name is no file name.
            AudioError: A file cannot be written.
        """
        options = WriteOptions(format)
        stems, extension = list(self), options.extension
        paths = stem_paths(Path(folder), "{stem}.{ext}", model="", track="", stems=stems, extension=extension)
        channels = len(next(iter(self.values())))
        with StemWriter(paths, self.sample_rate, channels, options) as writer:
            writer.write(np.stack(list(self.values())))
            writer.commit()
        return paths


def separate(
    audio: AudioInput,
    sample_rate: SupportsFloat | str | None = None,
    *,
    model: str | None = None,
    stems: str | Sequence[str] | None = (),
    two_stems: str | None = None,
    device: str = "auto",
    engine: str = "torch",
    settings: StreamSettings | None = None,
) -> Separation:
    """Separate a recording that fits in memory; `soloist.inference.FileJob` separates longer ones.

    Args:
        audio: A path, an encoded file of any format (bytes or a binary file object), or samples
            `(channels, samples)` or `(samples,)` in [-1, 1]: an array, tensor or list. Integers are scaled;
            an array `(samples, channels)` of more than 64 rows and at most 16 columns is transposed.
        sample_rate: Rate of the samples in Hz, a whole number of any type; not needed for a file.
        model: Name in the zoo or path of a model folder; None for the best on disk, else one that is
            downloaded (see `soloist.zoo.choose_default`).
        stems: Name or names of the requested stems; None or empty for all.
        two_stems: One stem to separate from everything else (`no_<stem>`).
        device: "auto", "cpu", "cuda", "mps".
        engine: Engine of the network, one of `soloist.inference.ENGINES`.
        settings: Chunks, overlap, shifts, batches.

    Returns:
        Samples `(channels, samples)` of each stem, at the rate and of the length of the input.

    Raises:
        AudioError: The file cannot be read.
        UsageError: Samples without a rate, or of an uncertain shape or scale; a stem that the model does not
            have; or an engine that cannot run the model.

    Example:
        >>> separation = soloist.separate("song.mp3", two_stems="vocals")  # doctest: +SKIP
        >>> separation.save("stems", format="flac")  # doctest: +SKIP
    """
    names = (stems,) if isinstance(stems, str) else () if stems is None else tuple(stems)
    selection = StemSelection(names, two_stems)
    mixture, rate = read_recording(audio, sample_rate)
    if model is None:
        model = choose_default(notice=_log.warning).name
    any_rate = card_of(model).sample_rate is None
    overrides = {"sample_rate": rate, "channels": mixture.shape[0]} if any_rate else {}
    separator = load(model, **overrides)
    selection.check(separator.sources)
    separator = separator.only(selection.needed(separator.sources))
    pairs = separate_stream(
        separator,
        [mixture],
        rate,
        engine=make_engine(engine, separator, device),
        level=measure_level([mixture]),
        settings=settings,
    )
    pieces = [selection.select(block, estimates, separator.sources) for block, estimates in pairs]
    written = selection.names(separator.sources)
    return Separation(dict(zip(written, np.concatenate(pieces, axis=-1), strict=True)), rate)
