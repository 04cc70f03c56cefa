"""Conversion of corpora to another file format, for faster training."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from soloist.audio import Audio, StemWriter, WriteOptions, cut_blocks, probe, resample_blocks, to_channels
from soloist.datasets.corpus import ALL, Corpus, FolderCorpus
from soloist.datasets.layouts.clip_folders import ClipCorpus
from soloist.datasets.layouts.stem_folders import StemFolders
from soloist.datasets.track import MIXTURE, Stem, StemFile, StemTrack
from soloist.errors import AudioError, SoloistError, UsageError
from soloist.files import Staging

SPLITS = {"tr": "train", "cv": "valid", "validation": "valid", "dev": "valid", "tt": "test", "eval": "test"}
"""Names of splits in published corpora, and in folders of stems."""

_BLOCK = 65536
_INTEGERS = frozenset({"pcm_s8", "pcm_u8", "pcm_16", "pcm_24"})
"""Codings that FLAC and 24-bit WAV can represent exactly, full scale included."""


@dataclass(frozen=True)
class ConvertSettings:
    """Settings of a conversion.

    Attributes:
        output: Folder of the converted corpus.
        write: Format of the files, one file per stem.
        sample_rate: Sample rate of the files, Hz; None for that of each track.
        mono: True to average channels to one.
        overwrite: True to replace existing files.

    Raises:
        UsageError: The rate is out of range, or the format is one file for all stems.
    """

    output: Path
    write: WriteOptions
    sample_rate: int | None = None
    mono: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.sample_rate is not None and not 1000 <= self.sample_rate <= 768_000:
            raise UsageError(f"sample rate {self.sample_rate} Hz must lie in 1000..768000")
        if self.write.format == "stem":
            raise UsageError("a corpus is converted to one file a stem: choose flac or wav")


@dataclass(frozen=True)
class Conversion:
    """Result of the conversion of a track.

    Attributes:
        track: Split and name of the track.
        skipped: True if the files existed already.
        gain: Common gain of all stems that prevents clipping.
        failure: Reason of a failure; None if the track was converted.
    """

    track: str
    skipped: bool = False
    gain: float = 1.0
    failure: str | None = None


Notify = Callable[[Conversion, int], None]
"""Callback that receives the result of a track and the number of tracks."""


def convert_corpus(
    corpus: Corpus, settings: ConvertSettings, *, jobs: int = 1, notify: Notify | None = None
) -> list[Conversion]:
    """Write the tracks of a corpus as `split/track/stem.flac`, or its clips under unchanged paths.

    Audio is read and written in blocks. The files of a track appear together when all are complete; later
    conversions skip the track. A failure of one track does not stop the others. Splits get the names `train`,
    `valid` and `test` if they have that role, so that `StemFolders` can read the result.

    Args:
        corpus: Corpus to convert.
        settings: Settings of the conversion.
        jobs: Number of tracks to convert in parallel.
        notify: Callback after each track.

    Returns:
        Result of each track, in the order of completion.

    Raises:
        UsageError: There is no recording in the corpus, or the output lies in it.
    """
    _check_output(corpus, settings.output)
    planned, failed = _plan(corpus, settings)
    if not planned and not failed:
        raise UsageError(f"no recordings in {corpus}")
    done = []
    for conversion in chain(failed, _run(planned, settings, jobs)):
        done.append(conversion)
        if notify is not None:
            notify(conversion, len(planned) + len(failed))
    if isinstance(corpus, ClipCorpus):
        _copy_companions(corpus, settings)
    return done


@dataclass(frozen=True)
class _Job:
    """Track to be converted.

    Attributes:
        track: Split and name of the track.
        source: Path of the track.
        open: Function that opens the track; raises an error if it is damaged.
        target: Folder of the stems, or file of a clip.
        is_clip: True if the target is the file of a clip.
    """

    track: str
    source: str
    open: Callable[[], StemTrack]
    target: Path
    is_clip: bool

    def files(self, stems: Iterable[str], extension: str) -> dict[str, Path]:
        """Path of each stem."""
        if self.is_clip:
            return dict.fromkeys(stems, self.target)
        return {stem: self.target / _safe(f"{stem}.{extension}", single=True) for stem in stems}


def _check_output(corpus: Corpus, output: Path) -> None:
    if isinstance(corpus, FolderCorpus) and output.resolve().is_relative_to(corpus.root.resolve()):
        raise UsageError(f"the output {output} lies in {corpus}, where it would be taken for a part of it")
    if output.exists() and not output.is_dir():
        raise UsageError(f"the output {output} is not a folder")


def _plan(corpus: Corpus, settings: ConvertSettings) -> tuple[list[_Job], list[Conversion]]:
    """List the tracks to convert, and the failures of tracks and splits that cannot be listed."""
    jobs: dict[str, _Job] = {}
    failures = []
    for split in corpus.splits:
        try:
            listed = list(_list_tracks(corpus, split))
        except AudioError as error:
            failures.append(Conversion(split, failure=str(error)))
            continue
        for name, source, open_track in listed:
            below = name.removeprefix(f"{split}/")
            track = f"{split}/{below}"
            try:
                target = settings.output / _place(corpus, split, below, settings.write.extension)
                job = _Job(track, source, open_track, target, isinstance(corpus, ClipCorpus))
                _claim(jobs, job)
            except UsageError as error:
                failures.append(Conversion(track, failure=str(error)))
    return list(jobs.values()), failures


def _list_tracks(corpus: Corpus, split: str) -> Iterator[tuple[str, str, Callable[[], StemTrack]]]:
    """List the name, path and opening function of each track of a split."""
    if isinstance(corpus, StemFolders):
        # Opened one by one: a damaged file must not hide the others.
        yield from ((path.name, str(path.path), path.open) for path in corpus.find_paths(split))
    else:
        for track in corpus.find(split):
            yield track.name, str(next(iter(track.stems.values()))), partial(_itself, track)


def _itself(track: StemTrack) -> StemTrack:
    return track


def _place(corpus: Corpus, split: str, name: str, extension: str) -> Path:
    """Path of a track below the output."""
    if isinstance(corpus, ClipCorpus):
        return _safe(f"{name}.{extension}")
    if corpus.splits == (ALL,):
        return _safe(name)
    usual = SPLITS.get(split, split)
    return _safe(split if usual in corpus.splits else usual, single=True) / _safe(name)


def _claim(jobs: dict[str, _Job], job: _Job) -> None:
    """Add a job, unless another one has the same target; a clip may be in several splits."""
    # Some file systems ignore case.
    other = jobs.setdefault(str(job.target).casefold(), job)
    if other.source != job.source:
        raise UsageError(f"{job.source} would overwrite the converted {other.source}")


def _safe(name: str, *, single: bool = False) -> Path:
    """Convert a name in a corpus to a path that stays below the output.

    Raises:
        UsageError: The name is absolute, empty, has `..` in it, or folders although it must be `single`.
    """
    path = Path(name)
    outside = path.anchor or ".." in path.parts or "\0" in name
    if outside or not path.parts or (single and len(path.parts) > 1):
        raise UsageError(f"{name!r} cannot be the name of a file below the output")
    return path


def _run(planned: Sequence[_Job], settings: ConvertSettings, jobs: int) -> Iterator[Conversion]:
    """Convert tracks in threads; most of the work runs outside of Python."""
    pool = ThreadPoolExecutor(jobs)
    with _folders({job.target.parent for job in planned}):
        try:
            for future in as_completed([pool.submit(_convert, job, settings) for job in planned]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _convert(job: _Job, settings: ConvertSettings) -> Conversion:
    try:
        stems = stems_of(job.open())
        files = job.files(stems, settings.write.extension)
        if not settings.overwrite and are_complete(list(files.values()), settings):
            return Conversion(job.track, skipped=True)
        return Conversion(job.track, gain=write_stems(stems, files, settings))
    except (SoloistError, OSError) as error:
        return Conversion(job.track, failure=str(error))


@contextmanager
def _folders(wanted: Iterable[Path]) -> Iterator[None]:
    """Make the folders that several tracks share, and remove empty ones at the end."""
    ways = {folder for path in wanted for folder in (path, *path.parents)}
    missing = sorted(folder for folder in ways if not folder.exists())
    for folder in missing:
        folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        for folder in reversed(missing):
            with suppress(OSError):  # The folder is not empty.
                folder.rmdir()


def _copy_companions(corpus: ClipCorpus, settings: ConvertSettings) -> None:
    for name in corpus.companions:
        copy = settings.output / name
        if settings.overwrite or not copy.exists():
            staging = Staging()
            try:
                shutil.copyfile(corpus.root / name, staging.target(copy))
                staging.promote()
            finally:
                staging.discard()


def stems_of(track: StemTrack) -> dict[str, Stem]:
    """Stems of a track, with the recorded mixture, if any."""
    return {**track.stems, **({} if track.mixture is None else {MIXTURE: track.mixture})}


def write_stems(stems: Mapping[str, Stem], files: Mapping[str, Path], settings: ConvertSettings) -> float:
    """Write the stems of a track; all files appear together when they are complete.

    Args:
        stems: Stems to read; shorter ones are padded with silence.
        files: Path of each stem.
        settings: Settings of the conversion.

    Returns:
        Common gain of all stems that prevents clipping.

    Raises:
        AudioError: A stem cannot be read, or a file cannot be written.
        UsageError: The format cannot hold the stems.
    """
    rate = settings.sample_rate or list(stems.values())[-1].sample_rate
    options = settings.write
    if not settings.mono and all(_is_integer(stem, rate) for stem in stems.values()):
        options = replace(options, clip="none")  # Integers never clip: full scale is represented exactly.
    blocks = _side_by_side(list(stems.values()), rate, mono=settings.mono)
    first = next(blocks)
    with StemWriter(files, rate, first.shape[1], options) as writer:
        for block in chain([first], blocks):
            writer.write(block)
        writer.commit()
        return writer.gain


def are_complete(files: Sequence[Path], settings: ConvertSettings) -> bool:
    """Tell whether all files of a track exist.

    Raises:
        AudioError: A file is damaged, or does not have the rate or channels of the settings.
    """
    if not all(file.exists() for file in files):
        return False
    for file in files:
        info = probe(file)
        if settings.sample_rate not in (None, info.sample_rate) or (settings.mono and info.channels > 1):
            raise AudioError(
                f"{file} is there with {info.sample_rate} Hz and {info.channels} channel(s); "
                "overwrite it, or choose another output folder"
            )
    return True


def _is_integer(stem: Stem, rate: int) -> bool:
    if not isinstance(stem, StemFile) or stem.sample_rate != rate:
        return False
    return probe(stem.path).codec in _INTEGERS


def _side_by_side(stems: Sequence[Stem], rate: int, *, mono: bool) -> Iterator[Audio]:
    """Read blocks `(stems, channels, samples)` at a rate in Hz; mono stems are copied to all channels."""
    with ExitStack() as opened:
        streams = [stem.blocks(_BLOCK) for stem in stems]
        for stream in streams:
            opened.callback(getattr(stream, "close", lambda: None))
        firsts = [next(stream) for stream in streams]
        channels = 1 if mono else max(first.shape[0] for first in firsts)
        yield from _stack(
            [
                cut_blocks(resample_blocks(_with(channels, first, stream), stem.sample_rate, rate), _BLOCK)
                for stem, first, stream in zip(stems, firsts, streams, strict=True)
            ],
            channels,
        )


def _with(channels: int, first: Audio, rest: Iterator[Audio]) -> Iterator[Audio]:
    return (to_channels(block, channels) for block in chain([first], rest))


def _stack(streams: Sequence[Iterator[Audio]], channels: int) -> Iterator[Audio]:
    for blocks in zip_longest(*streams):
        samples = max(block.shape[1] for block in blocks if block is not None)
        together = np.zeros((len(streams), channels, samples), np.float32)
        for stem, block in zip(together, blocks, strict=True):
            if block is not None:
                stem[:, : block.shape[1]] = block
        yield together
