"""Corpora without files: synthesised when they are read, equal in every process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, get_args

from soloist.audio import Audio
from soloist.datasets.corpus import Corpus
from soloist.datasets.synthetic_band import SOURCES, synthesize_band
from soloist.datasets.synthetic_noises import NoiseKind, synthesize_noise
from soloist.datasets.synthetic_talkers import synthesize_talker
from soloist.datasets.track import StemTrack
from soloist.errors import AudioError, UsageError

_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class SynthesizedStem:
    """Stem that is synthesised as a whole when it is first read.

    Attributes:
        name: Name in messages.
        samples: Length in samples.
        sample_rate: Sample rate in Hz.
        render: Function that returns the audio `(channels, samples)`, always the same array.
    """

    name: str
    samples: int
    sample_rate: int
    render: Callable[[], Audio]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate

    def read(self, start: float = 0.0, duration: float | None = None) -> tuple[Audio, int]:
        """Read an excerpt `(channels, samples)` and the rate in Hz; see `Stem.read`."""
        first = round(start * self.sample_rate)
        if first >= self.samples:
            raise AudioError(f"{self.name} ends before {start:.3f} s: it lasts {self.duration:.3f} s")
        last = None if duration is None else first + max(1, round(duration * self.sample_rate))
        return self.render()[:, first:last], self.sample_rate

    def blocks(self, length: int) -> Iterator[Audio]:
        """Read the whole stem in blocks; see `Stem.blocks`."""
        audio = self.render()
        for first in range(0, self.samples, length):
            yield audio[:, first : first + length]

    def __str__(self) -> str:
        return self.name


class SyntheticBand(Corpus):
    """Songs of the synthetic band: `vocals`, `drums`, `bass` and `other`, in stereo.

    Every process keeps its songs in memory: 1.4 MB per second at 44.1 kHz.

    Args:
        songs: Number of songs in the split `train`; `valid` and `test` have a quarter of that each.
        seconds: Length of each song.
        sample_rate: Sample rate in Hz; the songs are the same at every rate.

    Raises:
        UsageError: The number of songs or their length is not positive.
    """

    layout: ClassVar[str] = "synthetic-band"

    def __init__(self, songs: int = 20, seconds: float = 20.0, sample_rate: int = 44100) -> None:
        self._counts = _count(songs, least=1, what="songs")
        self._samples = _length(seconds, sample_rate)
        self._sample_rate = sample_rate

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, which share no songs."""
        return _SPLITS

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the songs of a split."""
        return [self._song(seed) for seed in _seeds(split, self._counts[split])]

    def _song(self, seed: int) -> StemTrack:
        name = f"song {seed}"
        stems = {
            source: SynthesizedStem(
                f"{source} of {name}",
                self._samples,
                self._sample_rate,
                partial(_play, seed, self._samples, self._sample_rate, source),
            )
            for source in SOURCES
        }
        return StemTrack(name, stems)


class SyntheticTalkers(Corpus):
    """Clips of one synthetic talker each, with the talker as label.

    Every process keeps its clips in memory: 32 kB per second at 8 kHz.

    Args:
        talkers: Number of talkers in the split `train`; `valid` and `test` have a quarter of that each, at
            least three.
        utterances: Number of clips of each talker.
        seconds: Length of each clip.
        sample_rate: Sample rate in Hz.

    Raises:
        UsageError: The number of talkers, utterances or their length is not positive.
    """

    layout: ClassVar[str] = "synthetic-talkers"
    disjoint_labels: ClassVar[bool] = True

    def __init__(
        self, talkers: int = 20, utterances: int = 20, seconds: float = 4.0, sample_rate: int = 8000
    ) -> None:
        self._counts = _count(talkers, least=3, what="talkers")
        if utterances < 1:
            raise UsageError(f"utterances must be at least 1, not {utterances}")
        self._utterances = utterances
        self._samples = _length(seconds, sample_rate)
        self._sample_rate = sample_rate

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, which share no talkers."""
        return _SPLITS

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the clips of a split, talker by talker."""
        talkers = _seeds(split, self._counts[split])
        return [self._clip(talker, number) for talker in talkers for number in range(self._utterances)]

    def _clip(self, talker: int, utterance: int) -> StemTrack:
        label = f"talker {talker}"
        render = partial(_talk, talker, utterance, self._samples, self._sample_rate)
        name = f"{label}, utterance {utterance}"
        stem = SynthesizedStem(name, self._samples, self._sample_rate, render)
        return StemTrack(name, {"talker": stem}, labels=(label,))


class SyntheticNoises(Corpus):
    """Clips of synthetic noises, such as `hum`, `motor` and `cries`, with the kind as label.

    Every process keeps its clips in memory: 64 kB per second at 16 kHz.

    Args:
        clips: Number of clips of each kind in the split `train`; `valid` and `test` have a quarter each.
        seconds: Length of each clip.
        sample_rate: Sample rate in Hz.

    Raises:
        UsageError: The number of clips or their length is not positive.
    """

    layout: ClassVar[str] = "synthetic-noises"

    def __init__(self, clips: int = 40, seconds: float = 5.0, sample_rate: int = 16000) -> None:
        self._counts = _count(clips, least=1, what="clips")
        self._samples = _length(seconds, sample_rate)
        self._sample_rate = sample_rate

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, which share no clips."""
        return _SPLITS

    def find(self, split: str) -> Sequence[StemTrack]:
        """List the clips of a split, kind by kind."""
        seeds = _seeds(split, self._counts[split])
        return [self._clip(kind, seed) for kind in get_args(NoiseKind) for seed in seeds]

    def _clip(self, kind: NoiseKind, seed: int) -> StemTrack:
        render = partial(_buzz, kind, seed, self._samples, self._sample_rate)
        stem = SynthesizedStem(f"{kind} {seed}", self._samples, self._sample_rate, render)
        return StemTrack(stem.name, {"noise": stem}, labels=(kind,))


def _count(train: int, *, least: int, what: str) -> dict[str, int]:
    if train < 1:
        raise UsageError(f"{what} must be at least 1, not {train}")
    held_out = max(least, train // 4)
    return {"train": train, "valid": held_out, "test": held_out}


def _length(seconds: float, sample_rate: int) -> int:
    if not 0.5 < seconds * sample_rate < float("inf"):
        raise UsageError(f"seconds {seconds} is not a length of at least one sample at {sample_rate} Hz")
    return round(seconds * sample_rate)


def _seeds(split: str, count: int) -> range:
    """Numbers of the songs or talkers of a split: every third, so that splits of any size are disjoint."""
    first = _SPLITS.index(split)
    return range(first, first + len(_SPLITS) * count, len(_SPLITS))


@cache
def _song(seed: int, samples: int, sample_rate: int) -> Mapping[str, Audio]:
    song = synthesize_band(samples / sample_rate, sample_rate=sample_rate, seed=seed)
    return {name: _frozen(stem) for name, stem in song.items()}


def _play(seed: int, samples: int, sample_rate: int, source: str) -> Audio:
    return _song(seed, samples, sample_rate)[source]


@cache
def _talk(talker: int, utterance: int, samples: int, sample_rate: int) -> Audio:
    audio = synthesize_talker(
        samples / sample_rate, talker=talker, utterance=utterance, sample_rate=sample_rate
    )
    return _frozen(audio)


@cache
def _buzz(kind: NoiseKind, seed: int, samples: int, sample_rate: int) -> Audio:
    return _frozen(synthesize_noise(kind, samples / sample_rate, seed=seed, sample_rate=sample_rate))


def _frozen(audio: Audio) -> Audio:
    """Make audio read-only, because all readers share it."""
    audio.setflags(write=False)
    return audio
