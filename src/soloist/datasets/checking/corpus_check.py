"""Check of a whole corpus: all tracks, by one or several processes, then copies and leaks between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from soloist.datasets.checking.corpus_report import Finding, Report, SplitSummary
from soloist.datasets.checking.stem_scan import StemFacts
from soloist.datasets.checking.track_check import SILENCE, TrackFacts, judge_track, scan_track
from soloist.datasets.corpus import Corpus
from soloist.datasets.track import MIXTURE, StemTrack
from soloist.errors import AudioError, SoloistError, UsageError
from soloist.resources import Processes

Notify = Callable[[str, int, int], None]
"""Callback that receives the split, its number of finished tracks, and its number of tracks."""

_Heard = tuple[TrackFacts, StemFacts]


def check_corpus(
    corpus: Corpus, splits: Sequence[str] = (), *, jobs: int = 1, notify: Notify | None = None
) -> Report:
    """Decode a corpus and report its problems; memory does not depend on the length of the tracks.

    Args:
        corpus: Corpus to check.
        splits: Names of the splits to check; all if empty.
        jobs: Number of processes that decode.
        notify: Callback after each track.

    Raises:
        UsageError: There is no such split, or no recording at all.
        SoloistError: A process was killed.
    """
    found: dict[str, Sequence[StemTrack]] = {}
    findings: list[Finding] = []
    for split in splits or corpus.splits:
        found[split], problem = _list_tracks(corpus, split, asked_for=bool(splits))
        findings.extend(problem)
    if not any(found.values()) and all(finding.kind == "empty" for finding in findings):
        raise UsageError(f"no recordings in {corpus}")
    facts = list(_scan(found, jobs, notify or (lambda split, done, total: None)))
    for track in facts:
        findings.extend(judge_track(track, corpus.residual_limit))
    findings.extend(find_copies(facts, disjoint_labels=corpus.disjoint_labels))
    findings.sort(key=lambda finding: not finding.is_error)
    summaries = [_summarise(split, [track for track in facts if track.split == split]) for split in found]
    return Report(str(corpus), corpus.layout, summaries, findings)


def _list_tracks(
    corpus: Corpus, split: str, *, asked_for: bool
) -> tuple[Sequence[StemTrack], Sequence[Finding]]:
    """List the tracks of a split, with a finding if it has none; a requested split must exist."""
    try:
        tracks = corpus.tracks(split) if asked_for else corpus.find(split)
    except AudioError as error:
        return [], [Finding("corrupt", split, "", "", f"cannot be listed: {error}")]
    return tracks, [] if tracks else [Finding("empty", split, "", "", "has no recordings")]


def _summarise(split: str, tracks: Sequence[TrackFacts]) -> SplitSummary:
    """Summarise the contents of a split."""
    stems = [stem for track in tracks for stem in track.stems]
    return SplitSummary(
        name=split,
        tracks=len(tracks),
        seconds=sum(track.seconds for track in tracks),
        sample_rates=dict(Counter(stem.sample_rate for stem in stems if stem.sample_rate)),
        channels=dict(Counter(stem.channels for stem in stems if stem.channels)),
        stems=dict(Counter(stem.name for stem in stems)),
        labels=len({label for track in tracks for label in track.labels}),
    )


def _scan(found: dict[str, Sequence[StemTrack]], jobs: int, notify: Notify) -> Iterator[TrackFacts]:
    """Scan all tracks in order."""
    if jobs == 1:
        yield from _scan_splits(found, map, notify)
        return
    try:
        with Processes(jobs) as pool:
            yield from _scan_splits(found, pool.map, notify)
    except BrokenProcessPool as error:
        raise SoloistError("a process that decodes was killed; try again with fewer --jobs") from error


def _scan_splits(
    found: dict[str, Sequence[StemTrack]],
    run: Callable[[Callable[[StemTrack], TrackFacts], Sequence[StemTrack]], Iterable[TrackFacts]],
    notify: Notify,
) -> Iterator[TrackFacts]:
    for split, tracks in found.items():
        for done, facts in enumerate(run(partial(scan_track, split=split), tracks), 1):
            notify(split, done, len(tracks))
            yield facts


def find_copies(tracks: Sequence[TrackFacts], *, disjoint_labels: bool) -> Iterator[Finding]:
    """Find duplicates within a split and leaks between splits.

    Args:
        tracks: Tracks of all splits; later splits are compared with earlier ones.
        disjoint_labels: True if splits must not share labels.
    """
    same_names = list(_same_names(tracks))
    yield from same_names
    told = {(finding.split, finding.track) for finding in same_names}
    yield from _same_audio(tracks, told)
    if disjoint_labels:
        yield from _same_labels(tracks)


def _same_names(tracks: Iterable[TrackFacts]) -> Iterator[Finding]:
    """Find tracks with the same name in two splits."""
    first: dict[str, TrackFacts] = {}
    for track in tracks:
        other = first.setdefault(track.name, track)
        if other.split != track.split:
            message = f"belongs to {track.name!r}, which is in the split {other.split} too: {other.file}"
            yield Finding("leak", track.split, track.name, track.file, message)


def _same_audio(tracks: Iterable[TrackFacts], told: set[tuple[str, str]]) -> Iterator[Finding]:
    """Find stems with equal samples; one finding for each pair of tracks."""
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
    """Choose the stem that a stem is a copy of, preferably of another split, which is worse.

    A mixture of a single stem equals the stem and is no copy.
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
    """Find labels that two splits share; one finding for each label and split."""
    first: dict[str, TrackFacts] = {}
    told = set()
    for track in tracks:
        for label in dict.fromkeys(track.labels):
            other = first.setdefault(label, track)
            if other.split != track.split and (label, track.split) not in told:
                told.add((label, track.split))
                message = f"has {label!r}, who is heard in the split {other.split} too: {other.file}"
                yield Finding("leak", track.split, track.name, track.file, message)
