"""Corpora in another format: once, before a training reads their files again and again."""

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
"""What corpora call their splits, and what folders of stems call them."""

_BLOCK = 65536
_INTEGERS = frozenset({"pcm_s8", "pcm_u8", "pcm_16", "pcm_24"})
"""Codings whose every sample FLAC and 24-bit WAV hold, full scale included."""


@dataclass(frozen=True)
class ConvertSettings:
    """What a corpus is converted to.

    Attributes:
        output: The folder that is written.
        write: Format of the files: one file a stem.
        sample_rate: Their rate, Hz; None for that of each track.
        mono: Whether channels are averaged to one.
        overwrite: Whether what is there already is done again.

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
    """What became of a track.

    Attributes:
        track: Its split and name.
        skipped: Whether its files were there already.
        gain: What all of its stems were multiplied with so that none clips.
        failure: Why it could not be converted; None where it could.
    """

    track: str
    skipped: bool = False
    gain: float = 1.0
    failure: str | None = None


Notify = Callable[[Conversion, int], None]
"""Is told what became of a track, and how many tracks there are."""


def convert_corpus(
    corpus: Corpus, settings: ConvertSettings, *, jobs: int = 1, notify: Notify | None = None
) -> list[Conversion]:
    """Write the tracks of a corpus as `split/track/stem.flac`, or its clips under the paths that they have.

    Audio is read and written in blocks. A track appears when all of its files are complete, and is skipped
    the next time. What cannot be converted does not keep the rest from it. Splits are called `train`, `valid`
    and `test` where they mean that: `StemFolders` reads what is written.

    Args:
        corpus: What to convert.
        settings: To what.
        jobs: Tracks under way at once.
        notify: Told after each track.

    Returns:
        What became of each track, in the order in which they were done.

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
    """A track that is to be converted.

    Attributes:
        track: Its split and name.
        source: What it is read from.
        open: Opens it when its turn comes: it may turn out to be damaged.
        target: The folder of its stems, or the file of a clip.
        is_clip: Which of both.
    """

    track: str
    source: str
    open: Callable[[], StemTrack]
    target: Path
    is_clip: bool

    def files(self, stems: Iterable[str], extension: str) -> dict[str, Path]:
        """The file of each stem."""
        if self.is_clip:
            return dict.fromkeys(stems, self.target)
        return {stem: self.target / _safe(f"{stem}.{extension}", single=True) for stem in stems}


def _check_output(corpus: Corpus, output: Path) -> None:
    if isinstance(corpus, FolderCorpus) and output.resolve().is_relative_to(corpus.root.resolve()):
        raise UsageError(f"the output {output} lies in {corpus}, where it would be taken for a part of it")
    if output.exists() and not output.is_dir():
        raise UsageError(f"the output {output} is not a folder")


def _plan(corpus: Corpus, settings: ConvertSettings) -> tuple[list[_Job], list[Conversion]]:
    """What is to be done, and what cannot be."""
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
    """Name of each track of a split, what it is read from, and how to open it."""
    if isinstance(corpus, StemFolders):
        # One by one: a damaged file must not hide the others.
        yield from ((path.name, str(path.path), path.open) for path in corpus.find_paths(split))
    else:
        for track in corpus.find(split):
            yield track.name, str(next(iter(track.stems.values()))), partial(_itself, track)


def _itself(track: StemTrack) -> StemTrack:
    return track


def _place(corpus: Corpus, split: str, name: str, extension: str) -> Path:
    """Where a track goes, below the output."""
    if isinstance(corpus, ClipCorpus):
        return _safe(f"{name}.{extension}")
    if corpus.splits == (ALL,):
        return _safe(name)
    usual = SPLITS.get(split, split)
    return _safe(split if usual in corpus.splits else usual, single=True) / _safe(name)


def _claim(jobs: dict[str, _Job], job: _Job) -> None:
    """Add a job, unless another one writes to the same place; a clip may be in several splits."""
    # Some file systems do not tell capitals from small letters.
    other = jobs.setdefault(str(job.target).casefold(), job)
    if other.source != job.source:
        raise UsageError(f"{job.source} would overwrite what {other.source} becomes")


def _safe(name: str, *, single: bool = False) -> Path:
    """A name from a corpus as a path that leads nowhere else.

    Raises:
        UsageError: It is absolute, empty, has `..` in it, or folders where it must be a `single` name.
    """
    path = Path(name)
    outside = path.anchor or ".." in path.parts or "\0" in name
    if outside or not path.parts or (single and len(path.parts) > 1):
        raise UsageError(f"{name!r} cannot be the name of a file below the output")
    return path


def _run(planned: Sequence[_Job], settings: ConvertSettings, jobs: int) -> Iterator[Conversion]:
    """Convert tracks in several threads: most of the work is done outside of Python."""
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
    """Folders that several tracks share; those that stay empty vanish in the end."""
    ways = {folder for path in wanted for folder in (path, *path.parents)}
    missing = sorted(folder for folder in ways if not folder.exists())
    for folder in missing:
        folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        for folder in reversed(missing):
            with suppress(OSError):  # there is something in it
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
    """What is written of a track: its stems, and the mixture where it is recorded."""
    return {**track.stems, **({} if track.mixture is None else {MIXTURE: track.mixture})}


def write_stems(stems: Mapping[str, Stem], files: Mapping[str, Path], settings: ConvertSettings) -> float:
    """Write the stems of a track; their files appear when all of them are complete.

    Args:
        stems: What is read. Those that end before the others are silent from there on.
        files: The file of each.
        settings: Format, rate, channels.

    Returns:
        The gain that all were multiplied with so that none clips.

    Raises:
        AudioError: A stem cannot be read, or a file cannot be written.
        UsageError: The format cannot hold it.
    """
    rate = settings.sample_rate or list(stems.values())[-1].sample_rate
    options = settings.write
    if not settings.mono and all(_is_integer(stem, rate) for stem in stems.values()):
        options = replace(options, clip="none")  # nothing clips: a sample at full scale is held as it is
    blocks = _side_by_side(list(stems.values()), rate, mono=settings.mono)
    first = next(blocks)
    with StemWriter(files, rate, first.shape[1], options) as writer:
        for block in chain([first], blocks):
            writer.write(block)
        writer.commit()
        return writer.gain


def are_complete(files: Sequence[Path], settings: ConvertSettings) -> bool:
    """Whether all files of a track are there.

    Raises:
        AudioError: One is damaged, or is not what the settings ask for.
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
    """Blocks `(stems, channels, samples)` at a rate in Hz; one channel is copied where others have more."""
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
