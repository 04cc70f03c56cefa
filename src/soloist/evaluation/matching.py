"""Estimates on disk and their references: names matched; rates, channels and lengths checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from soloist.audio import Audio
from soloist.datasets import Stem, StemTrack, TrackPath, components
from soloist.errors import AudioError, UsageError

LENGTH_TOLERANCE = 0.1
"""Largest difference of the durations of estimate and reference, in s, for what encoders add and cut."""


@dataclass
class LoadedTrack:
    """References and estimates of a track in memory, of one rate, channel count and length.

    Attributes:
        references: Stems `(channels, samples)`.
        estimates: Estimates that can be scored, of the same shape.
        sample_rate: Sample rate of references and estimates, Hz.
        notes: Notes for readers of the scores: stems that are missing, left over or cut.
        refused: Reasons why estimates cannot be scored, a line each.
        first: First sample of the track that is scored.
    """

    references: dict[str, Audio]
    sample_rate: int
    estimates: dict[str, Audio] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    first: int = 0

    @property
    def duration(self) -> float:
        """Duration in s."""
        return next(iter(self.references.values())).shape[-1] / self.sample_rate

    def cut(self, start: float, duration: float | None) -> None:
        """Keep a part of references and estimates, in s.

        Raises:
            AudioError: The track ends before.
        """
        first = round(start * self.sample_rate)
        stop = None if duration is None else first + max(1, round(duration * self.sample_rate))
        if self.duration * self.sample_rate <= first:
            raise AudioError(f"the references end before {start:.3f} s: they last {self.duration:.3f} s")
        self.first = first
        for stems in (self.references, self.estimates):
            stems |= {name: audio[:, first:stop] for name, audio in stems.items()}

    def admit(self, name: str, audio: Audio, sample_rate: int) -> None:
        """Add an estimate `(channels, samples)`, cut or padded to fit, or refuse the estimate."""
        channels, length = next(iter(self.references.values())).shape
        missing = length - audio.shape[-1]
        if sample_rate != self.sample_rate:
            self.refused.append(
                f"{name}: its rate is {sample_rate} Hz, that of the references {self.sample_rate} Hz; "
                "resample it first"
            )
        elif audio.shape[0] != channels:
            self.refused.append(f"{name}: it has {audio.shape[0]} channel(s), the references {channels}")
        elif not np.isfinite(audio).all():
            self.refused.append(f"{name}: it has samples that are not numbers or infinite")
        elif abs(missing) > LENGTH_TOLERANCE * sample_rate:
            lasts, should = audio.shape[-1] / sample_rate, length / sample_rate
            self.refused.append(f"{name}: it lasts {lasts:.3f} s, its reference {should:.3f} s")
        else:
            if missing:
                change = f"{missing} samples shorter than its reference: padded with silence"
                self.notes.append(f"{name}: {change if missing > 0 else _cut_note(-missing)}")
            self.estimates[name] = np.pad(audio[:, :length], ((0, 0), (0, max(0, missing))))


def load_references(track: StemTrack) -> LoadedTrack:
    """Read the stems of a track.

    Raises:
        AudioError: A stem cannot be read, or they differ in rate, channels or length.
    """
    references, rates = {}, set()
    for name, file in track.stems.items():
        references[name], rate = file.read()
        rates.add(rate)
    shapes = {audio.shape for audio in references.values()}
    if len(rates) > 1 or len(shapes) > 1:
        what = "rates" if len(rates) > 1 else "lengths or channels"
        raise AudioError(f"the references of {track.name} have different {what}, so nothing can be scored")
    return LoadedTrack(references, rates.pop())


def load_pair(reference: StemTrack, estimate: StemTrack, *, by_name: bool = True) -> LoadedTrack:
    """Read a track's references and estimates; note or refuse estimates that cannot be scored.

    Args:
        reference: The true stems.
        estimate: The estimates, under the names of stems or of unions of stems.
        by_name: Require a reference for the name of each estimate; False if quality matches them.

    Raises:
        AudioError: The references cannot be read, or no estimate can be scored.
    """
    loaded = load_references(reference)
    stems = tuple(loaded.references)
    for name, file in estimate.stems.items():
        if by_name and not components(name, stems):
            loaded.notes.append(f"{name}: no reference of this name, not scored")
        else:
            _admit_file(loaded, name, file)
    covered = {stem for name in estimate.stems for stem in components(name, stems)}
    if by_name:
        loaded.notes += [f"{stem}: no estimate" for stem in stems if stem not in covered]
    if not loaded.estimates:
        why = "; ".join(loaded.refused or loaded.notes)
        raise AudioError(f"{reference.name}: no estimate can be scored ({why})")
    return loaded


def match_tracks(
    references: Sequence[TrackPath], estimates: Sequence[TrackPath]
) -> tuple[list[tuple[TrackPath, TrackPath]], list[str], list[str]]:
    """Pair tracks by name, or single tracks of any names.

    Returns:
        Pairs of reference and estimate, names of references without estimates, names of estimates without
        references.

    Raises:
        UsageError: No name occurs on both sides.
    """
    if len(references) == len(estimates) == 1:
        return [(references[0], estimates[0])], [], []
    found = {track.name: track for track in estimates}
    pairs = [(track, found[track.name]) for track in references if track.name in found]
    known = {track.name for track in references}
    if not pairs:
        raise UsageError(
            f"no track has both references and estimates: {references[0].name!r} is a reference, "
            f"{estimates[0].name!r} an estimate"
        )
    missing = [track.name for track in references if track.name not in found]
    return pairs, missing, [name for name in found if name not in known]


def _admit_file(loaded: LoadedTrack, name: str, file: Stem) -> None:
    try:
        audio, rate = file.read()
    except AudioError as error:
        loaded.refused.append(f"{name}: {error}")
    else:
        loaded.admit(name, audio, rate)


def _cut_note(samples: int) -> str:
    return f"{samples} samples longer than its reference: cut"
