"""What tracks share with each other that they should not: audio, names, labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from soloist.datasets.checking.corpus_report import Finding
from soloist.datasets.checking.stem_scan import StemFacts
from soloist.datasets.checking.track_check import SILENCE, TrackFacts
from soloist.datasets.track import MIXTURE

_Heard = tuple[TrackFacts, StemFacts]


def find_copies(tracks: Sequence[TrackFacts], *, disjoint_labels: bool) -> Iterator[Finding]:
    """Find what is there twice, within a split and, as a leak, across splits.

    Args:
        tracks: The tracks of all splits, those of the split that others are compared with first.
        disjoint_labels: Whether a label must not be heard in two splits.
    """
    same_names = list(_same_names(tracks))
    yield from same_names
    told = {(finding.split, finding.track) for finding in same_names}
    yield from _same_audio(tracks, told)
    if disjoint_labels:
        yield from _same_labels(tracks)


def _same_names(tracks: Iterable[TrackFacts]) -> Iterator[Finding]:
    """Tracks that are called the same in two splits."""
    first: dict[str, TrackFacts] = {}
    for track in tracks:
        other = first.setdefault(track.name, track)
        if other.split != track.split:
            message = f"belongs to {track.name!r}, which is in the split {other.split} too: {other.file}"
            yield Finding("leak", track.split, track.name, track.file, message)


def _same_audio(tracks: Iterable[TrackFacts], told: set[tuple[str, str]]) -> Iterator[Finding]:
    """Stems whose every sample is the same, one finding for each pair of tracks."""
    heard: dict[bytes, list[_Heard]] = {}
    for track in tracks:
        pairs: dict[tuple[str, str], list[tuple[StemFacts, _Heard]]] = {}
        for stem in track.stems:
            if stem.failure is not None or stem.peak < SILENCE:
                continue
            earlier = heard.setdefault(stem.fingerprint, [])
            if twin := _twin(track, stem, earlier):
                pairs.setdefault((twin[0].split, twin[0].name), []).append((stem, twin))
            earlier.append((track, stem))
        for (split, _), copies in pairs.items():
            if split == track.split or (track.split, track.name) not in told:
                yield _copied(track, copies)


def _twin(track: TrackFacts, stem: StemFacts, earlier: Sequence[_Heard]) -> _Heard | None:
    """What a stem is a copy of: rather something of another split, which is worse.

    A mixture of a single sound is that sound, and no copy of it.
    """
    others = [
        (other, twin) for other, twin in earlier if not (other is track and MIXTURE in (stem.name, twin.name))
    ]
    return next((heard for heard in others if heard[0].split != track.split), others[0] if others else None)


def _copied(track: TrackFacts, copies: Sequence[tuple[StemFacts, _Heard]]) -> Finding:
    stem, (other, twin) = copies[0]
    leaks = other.split != track.split
    where = f" of the split {other.split}" if leaks else ""
    also = f" (and so {', '.join(copy.name for copy, _ in copies[1:])})" if len(copies) > 1 else ""
    message = f"has the same audio as {twin.file}{where}{also}"
    return Finding("leak" if leaks else "duplicate", track.split, track.name, stem.file, message)


def _same_labels(tracks: Iterable[TrackFacts]) -> Iterator[Finding]:
    """Labels that are heard in two splits, one finding for each label and split."""
    first: dict[str, TrackFacts] = {}
    told = set()
    for track in tracks:
        for label in dict.fromkeys(track.labels):
            other = first.setdefault(label, track)
            if other.split != track.split and (label, track.split) not in told:
                told.add((label, track.split))
                message = f"has {label!r}, who is heard in the split {other.split} too: {other.file}"
                yield Finding("leak", track.split, track.name, track.file, message)
