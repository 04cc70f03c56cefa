"""Survey of a folder of recordings: its layout, signals and splits, for a recipe that trains on it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soloist.audio import AUDIO_SUFFIXES
from soloist.datasets.corpus import FolderCorpus
from soloist.datasets.layout_search import find_layout, guess_layout
from soloist.datasets.layouts.aligned_pairs import AlignedPairs
from soloist.datasets.layouts.clip_folders import ClipCorpus, ClipFolder
from soloist.datasets.layouts.fuss import FUSS
from soloist.datasets.layouts.stem_folders import StemFolders
from soloist.datasets.layouts.talker_mixtures import NOISE, TalkerMixtures
from soloist.datasets.track import StemFile, StemTrack
from soloist.errors import AudioError, SoloistError, UsageError
from soloist.files import expand_home

TRAIN, VALID, TEST = "train", "valid", "test"

_ALIASES = {
    TRAIN: ("train", "tr", "train-360", "train-100"),
    VALID: ("valid", "validation", "val", "dev", "cv"),
    TEST: ("test", "eval", "tt"),
}
_MOST_PROBED = 200
"""Most tracks whose headers are read; the hours of more are extrapolated."""

_MOST_HELD_OUT = 40
_FEW_LABELS = 20
"""Fewest labels of which some are held out; of fewer, clips of each are."""

_PATTERNS = (
    # Folders, one for each talker or class, below the root or below a folder of its own.
    r"(?P<file>(?P<label>[^/]+)/.+)",
    r"(?P<file>[^/]+/(?P<label>[^/]+)/.+)",
    # Names that begin with that of the talker or class: 103-1240-0000.flac.
    r"(?P<file>(?:.*/)?(?P<label>[^/_-]+)[_-][^/]*)",
    r"(?P<file>(?:.*/)?(?P<label>[^/]+)\.\w+)",
)


@dataclass(frozen=True)
class FolderSurvey:
    """Contents of a folder, as a recipe needs them.

    Attributes:
        root: The folder.
        layout: Class of the corpus.
        arguments: Arguments of the corpus beside its root.
        sources: Names of the stems; empty for single sounds.
        ordered: True if each source is a stem of its own kind; False for talkers and sounds of any kind.
        missing: Number of tracks without a stem, by the stem's name, if there are any.
        damaged: Names of tracks that cannot be read.
        sample_rate: Most common rate, Hz.
        channels: Most common number of channels, 1 or 2.
        tracks: Number of tracks.
        labels: Number of talkers or classes of single sounds.
        hours: Length of all tracks together.
        splits: Name in the corpus of the splits train, valid and test, if there are such.
        held_out: Names of the tracks or labels that are held out by the survey's own proposal.
    """

    root: Path
    layout: type[FolderCorpus]
    arguments: Mapping[str, Any]
    sources: tuple[str, ...]
    ordered: bool
    missing: Mapping[str, int]
    sample_rate: int
    channels: int
    tracks: int
    labels: int
    hours: float
    splits: Mapping[str, str]
    held_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    damaged: Sequence[str] = ()


def survey_folder(root: str | Path, layout_name: str | None = None) -> FolderSurvey:
    """Look at a folder of stems, of single sounds (talkers, events) or of aligned pairs.

    Splits of the folder are taken as they are; otherwise a tenth of the tracks, or of the talkers, is held
    out for validation and as much for a test, evenly spaced in the order of their names. Tracks without a
    stem, and damaged ones, are not held out.

    Args:
        root: The folder.
        layout_name: Name of the layout; None to find it.

    Raises:
        UsageError: There is no such folder, or it fits no layout or several.
        AudioError: No recording can be read.
    """
    root = expand_home(root).absolute()
    layout = _layout(root, layout_name)
    arguments: dict[str, Any] = {}
    if layout is ClipFolder:
        arguments = {"pattern": _pattern(root), "label": "label"}
    corpus = layout(root, **arguments)
    tracks = {track.name: track for split in corpus.splits for track in corpus.find(split)}
    if not tracks:
        raise UsageError(f"no recordings in {root}")
    stems = Counter(name for track in tracks.values() for name in track.stems)
    if rest := _rest(layout, stems, tracks.values()):
        arguments["rest"] = rest
        stems[rest] = sum(track.mixture is not None for track in tracks.values())
    clips, mixed = issubclass(layout, ClipCorpus), issubclass(layout, TalkerMixtures)
    rate, channels, hours, damaged = _signals(list(tracks.values()))
    splits, held_out, rules = _split(corpus, list(tracks.values()), damaged)
    arguments |= {"splits": rules} if rules else {}
    return FolderSurvey(
        root=root,
        layout=layout,
        arguments=arguments,
        sources=() if clips else tuple(name for name in stems if not (mixed and name == NOISE)),
        ordered=not (clips or mixed or issubclass(layout, FUSS)),
        missing={} if clips else {name: len(tracks) - n for name, n in stems.items() if n < len(tracks)},
        sample_rate=rate,
        channels=channels,
        tracks=len(tracks),
        labels=len({track.labels for track in tracks.values()}) if clips else 0,
        hours=hours,
        splits=splits,
        held_out=held_out,
        damaged=damaged,
    )


def _layout(root: Path, name: str | None) -> type[FolderCorpus]:
    if name is not None:
        layout = find_layout(name)
        if not issubclass(layout, FolderCorpus):
            raise UsageError(f"the layout {name} has no folder")
        return layout
    try:
        return guess_layout(root)
    except UsageError as error:
        # Sounds without folders, whose names may begin with their talkers', are what no layout expects.
        if root.is_dir() and sum(_is_sound(path) for path in root.iterdir()) >= 2:
            return ClipFolder
        if not root.is_dir() or " may be " in str(error):
            raise
        raise UsageError(
            f"{root} is neither folders of stems (song/vocals.wav), nor single sounds (talker/1.wav, "
            "talker-1.wav), nor aligned pairs (noisy/1.wav, clean/1.wav)"
        ) from error


def _is_sound(path: Path) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()


def _pattern(root: Path) -> str:
    """Find the part of the paths of single sounds that is their label."""
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if _is_sound(path)]
    for pattern in _PATTERNS:
        found = [re.fullmatch(pattern, name) for name in names]
        labels = {match["label"] for match in found if match}
        if all(found) and len(labels) >= 2:
            return pattern
    raise UsageError(f"{root} holds fewer than two sounds: give a folder of several talkers or classes")


def _rest(layout: type[FolderCorpus], stems: Counter[str], tracks: Any) -> str | None:
    """Name the difference between mixtures and their only stem; None if there is none."""
    if layout is not StemFolders or len(stems) != 1 or not all(track.mixture for track in tracks):
        return None
    return "accompaniment" if "vocals" in stems else "rest"


def _first(names: Sequence[str], known: Sequence[str]) -> str | None:
    return next((name for name in names if name in known), None)


def _split(
    corpus: FolderCorpus, tracks: Sequence[StemTrack], damaged: Sequence[str]
) -> tuple[dict[str, str], dict[str, list[str]], dict[str, Any]]:
    """Names of the splits that are there or proposed, what is held out, and the rules of a proposal."""
    there = {kind: name for kind, names in _ALIASES.items() if (name := _first(names, corpus.splits))}
    if TRAIN in there:
        return there, {}, {}
    held_out, rules = _propose(type(corpus), tracks, damaged)
    splits = {kind: kind for kind in (TRAIN, *held_out)} if rules else {TRAIN: corpus.splits[0]}
    return splits, held_out, rules


def _propose(
    layout: type[FolderCorpus], tracks: Sequence[StemTrack], damaged: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Hold out tracks or labels by name; gives them, and the rules of the splits, which may be empty."""
    if layout in (StemFolders, AlignedPairs):
        most = max(len(track.stems) for track in tracks)
        whole = [track.name for track in tracks if len(track.stems) == most and track.name not in damaged]
        held_out = _choose(whole if len(whole) > 1 else [track.name for track in tracks], len(tracks))
        rules: dict[str, Any] = {kind: _any_of(names) for kind, names in held_out.items()}
        return held_out, _with_train(rules, held_out)
    if layout is not ClipFolder:
        return {}, {}
    by_label: dict[str, list[str]] = {}
    for track in tracks:
        if track.name not in damaged:
            by_label.setdefault(track.labels[0], []).append(_path(track))
    if len(by_label) >= _FEW_LABELS:
        group, held_out = "label", _choose(sorted(by_label), len(by_label))
    else:
        group, held_out = "file", _choose_of_each(by_label)
    train = _with_train({kind: _any_of(names) for kind, names in held_out.items()}, held_out)
    return held_out, {kind: {group: rule} for kind, rule in train.items()}


def _choose_of_each(by_label: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Choose sounds of each label; none if fewer than two labels have enough, as mixtures are of two."""
    chosen = [_choose(names, len(names)) for names in by_label.values()]
    held_out = {kind: [name for each in chosen for name in each.get(kind, ())] for kind in (VALID, TEST)}
    enough = {kind: sum(kind in each for each in chosen) >= 2 for kind in held_out}
    return {kind: names for kind, names in held_out.items() if enough[kind]}


def _with_train(rules: dict[str, str], held_out: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Add the rule of the training split: all names but those that are held out."""
    names = [name for names in held_out.values() for name in names]
    return {TRAIN: f"(?!({_any_of(names)})$).*", **rules} if names else {}


def _choose(names: Sequence[str], count: int) -> dict[str, list[str]]:
    """Choose a tenth for validation and a tenth for a test; of few only a test, of two none.

    Args:
        names: Names that can be held out.
        count: Number of all.
    """
    if count < 3:
        return {}
    each = min(max(1, count // 10), _MOST_HELD_OUT, max(1, len(names) // 2))
    kinds = (VALID, TEST) if count >= 4 and len(names) > 1 else (TEST,)
    total = each * len(kinds)
    spaced = [names[(2 * place + 1) * len(names) // (2 * total)] for place in range(total)]
    return {kind: spaced[place :: len(kinds)] for place, kind in enumerate(kinds)}


def _path(track: StemTrack) -> str:
    stem = next(iter(track.stems.values()))
    assert isinstance(stem, StemFile)
    return track.name + stem.path.suffix


def _any_of(names: Sequence[str]) -> str:
    return "|".join(re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", name) for name in names)


def _signals(tracks: Sequence[StemTrack]) -> tuple[int, int, float, list[str]]:
    """Most common rate and number of channels, hours of all tracks, names of damaged ones; from headers."""
    step = -(-len(tracks) // _MOST_PROBED)
    rates, channels, seconds = Counter[int](), Counter[int](), []
    failures: dict[str, SoloistError] = {}
    for track in tracks[::step]:
        try:
            # The mixture, or the longest stem: a stem may be silent at the end, or missing.
            stems = [track.mixture] if track.mixture else [*track.stems.values()]
            seconds.append(max(stem.duration for stem in stems))
            rates[stems[0].sample_rate] += 1
            channels[stems[0].read(0.0, 0.01)[0].shape[0]] += 1
        except AudioError as error:
            failures[track.name] = error
    if not seconds:
        raise next(iter(failures.values()), AudioError("no recording can be read"))
    hours = sum(seconds) / len(seconds) * len(tracks) / 3600
    rate, width = rates.most_common(1)[0][0], channels.most_common(1)[0][0]
    return rate, min(2, width), hours, list(failures)
