"""A whole corpus: its tracks by one or several processes, then the splits against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from soloist.datasets.checking.copies import find_copies
from soloist.datasets.checking.corpus_report import Finding, Report, SplitSummary
from soloist.datasets.checking.track_check import TrackFacts, judge_track, scan_track
from soloist.datasets.corpus import Corpus
from soloist.datasets.track import StemTrack
from soloist.errors import AudioError, SoloistError, UsageError
from soloist.resources import Processes

Notify = Callable[[str, int, int], None]
"""Is told the split, how many of its tracks are done, and how many there are."""


def check_corpus(
    corpus: Corpus, splits: Sequence[str] = (), *, jobs: int = 1, notify: Notify | None = None
) -> Report:
    """Decode a corpus and tell what is wrong with it. Memory does not depend on the length of its tracks.

    Args:
        corpus: What to check.
        splits: Which of its splits; none for all.
        jobs: Number of processes that decode.
        notify: Told after each track.

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
    """The tracks of a split, and why there are none; one that was asked for must be there."""
    try:
        tracks = corpus.tracks(split) if asked_for else corpus.find(split)
    except AudioError as error:
        return [], [Finding("corrupt", split, "", "", f"cannot be listed: {error}")]
    return tracks, [] if tracks else [Finding("empty", split, "", "", "has no recordings")]


def _summarise(split: str, tracks: Sequence[TrackFacts]) -> SplitSummary:
    """What a split holds."""
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
    """The facts of all tracks in their order."""
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
