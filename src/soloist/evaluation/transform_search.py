"""Search for the sliCQ with which the mixture's phase does least harm.

The figure is the oracle of mix-phase inversion: the sources' true magnitudes with the phase of their sum. No
network that only estimates magnitudes is likely to be better, and where sources overlap little, it is high.

S. Hanssian, "Music demixing with the sliCQ transform", MDX workshop at ISMIR, 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from optuna import TrialPruned
from optuna.trial import Trial, TrialState
from torch import Tensor

from soloist.datasets import TrackPath
from soloist.errors import AudioError, UsageError
from soloist.evaluation.listening_excerpts import choose_tracks
from soloist.metrics import sdr
from soloist.resources import make_sampler, open_study
from soloist.resources.optuna_study import Method
from soloist.separators import Oracle
from soloist.transforms import ScaleName, make_scale, parse_transform

STORAGE = "search.db"
BASELINE = "stft:4096:1024"
"""What a sliCQ is compared with."""

_SCALES: tuple[ScaleName, ...] = ("bark", "mel", "constant-q", "variable-q")
_BINS = (10, 300)
_FMIN = (10.0, 130.0)
_STRETCH = (0.5, 2.0)
_TRANSFORM, _REASON, _BASELINE, _WHERE = "transform", "reason", "baseline", "where"
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class SearchSettings:
    """What is searched, and on what.

    Attributes:
        trials: Settings that are tried in all, those of earlier calls and other processes counted in.
        method: How they are chosen.
        seconds: Length of the excerpt of each track, from its middle.
        tracks: Number of tracks, spread evenly over the corpus.
        seed: Another seed tries other settings.
    """

    trials: int = 60
    method: Method = "tpe"
    seconds: float = 5.0
    tracks: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1 or self.tracks < 1 or not self.seconds > 0:
            raise UsageError(
                f"trials {self.trials}, tracks {self.tracks} and seconds {self.seconds:g} must be positive"
            )


@dataclass(frozen=True)
class Tried:
    """A transform and its figure.

    Attributes:
        transform: As `parse_transform` takes it.
        sdr: Mean over tracks and stems, dB; None where the transform cannot be.
        reason: Why it cannot be.
    """

    transform: str
    sdr: float | None
    reason: str = ""


@dataclass(frozen=True)
class SearchExcerpt:
    """A stretch of a track's stems.

    Attributes:
        references: `(1, stems, channels, samples)`.
        sample_rate: In Hz.
    """

    references: Tensor
    sample_rate: int


class SliCQSearch:
    """Tries transforms and keeps what came out in a folder, which several processes may work on.

    Args:
        tracks: The corpus.
        folder: Where the study is, or is begun.
        settings: What is searched, and on what.

    Raises:
        UsageError: The folder holds the search on other excerpts.
        AudioError: A stem cannot be read, or stems or tracks do not fit together.
    """

    def __init__(self, tracks: Sequence[TrackPath], folder: Path, settings: SearchSettings) -> None:
        self.settings = settings
        self.excerpts = load_excerpts(tracks, settings.seconds, settings.tracks)
        folder.mkdir(parents=True, exist_ok=True)
        self._study = open_study(folder / STORAGE, "slicq", maximize=True)
        where = {"tracks": sorted(track.name for track in tracks), "seconds": settings.seconds}
        where["excerpts"] = len(self.excerpts)
        if self._study.user_attrs.setdefault(_WHERE, where) != where:
            raise UsageError(f"{folder} holds the search on other excerpts: choose another folder (-o)")
        self._study.set_user_attr(_WHERE, where)

    def run(self, notify: Callable[[int], None] | None = None) -> None:
        """Try settings until there are as many as are wanted.

        Of several processes each may end with one more.

        Args:
            notify: Told how many there are.
        """
        while (done := len(self._study.get_trials(deepcopy=False, states=_DONE))) < self.settings.trials:
            if notify is not None:
                notify(done)
            self._study.optimize(self._try, n_trials=1)

    @property
    def baseline(self) -> float:
        """The figure of `BASELINE`, dB."""
        if (known := self._study.user_attrs.get(_BASELINE)) is None:
            known = oracle_sdr(BASELINE, self.excerpts)
            self._study.set_user_attr(_BASELINE, known)
        return float(known)

    def tried(self) -> list[Tried]:
        """All that was tried, the best first, then what cannot be."""
        known = [
            Tried(
                trial.user_attrs[_TRANSFORM],
                trial.value if trial.state is TrialState.COMPLETE else None,
                trial.user_attrs.get(_REASON, ""),
            )
            for trial in self._study.get_trials(deepcopy=False, states=_DONE)
        ]
        return sorted(known, key=lambda tried: np.inf if tried.sdr is None else -tried.sdr)

    def _try(self, trial: Trial) -> float:
        # By its number, so that no two processes draw the same.
        self._study.sampler = make_sampler(self.settings.method, self.settings.seed, [trial.number])
        rate, length = self.excerpts[0].sample_rate, self.excerpts[0].references.shape[-1]
        text, slice_length = _suggest(trial, rate)
        trial.set_user_attr(_TRANSFORM, text)
        try:
            if slice_length > length:
                raise UsageError(f"a slice of {slice_length} samples is longer than an excerpt of {length}")
            return oracle_sdr(text, self.excerpts)
        except UsageError as error:
            trial.set_user_attr(_REASON, str(error))
            raise TrialPruned from error


def oracle_sdr(transform: str, excerpts: Sequence[SearchExcerpt]) -> float:
    """The SDR of mix-phase inversion, dB: the mean over the excerpts of that over their stems.

    Stems that are silent there do not count.

    Raises:
        UsageError: There is no such transform.
    """
    figures = []
    for excerpt in excerpts:
        references = excerpt.references
        oracle = Oracle("mpi", parse_transform(transform, excerpt.sample_rate))
        with torch.inference_mode():
            ratios = sdr(references, oracle(references.sum(dim=1), references))
        sounding = references.square().sum(dim=(-2, -1)) > 0
        figures.append(ratios[sounding].mean())
    return float(torch.stack(figures).nanmean())


def load_excerpts(tracks: Sequence[TrackPath], seconds: float, count: int) -> list[SearchExcerpt]:
    """The middles of some tracks.

    Args:
        tracks: The corpus.
        seconds: Length of each; shorter tracks are taken whole.
        count: How many tracks, spread evenly over the corpus.

    Raises:
        AudioError: A stem cannot be read, or the stems of a track differ in rate, channels or length, or the
            tracks in rate.
    """
    chosen = choose_tracks(tracks, count)
    excerpts = [_load(track, seconds) for track in tracks if track.name in chosen]
    if len(rates := {excerpt.sample_rate for excerpt in excerpts}) > 1:
        raise AudioError(f"the tracks have different rates: {sorted(rates)} Hz; resample them first")
    return excerpts


def _load(path: TrackPath, seconds: float) -> SearchExcerpt:
    stems = path.open().stems
    start = max(0.0, (min(stem.duration for stem in stems.values()) - seconds) / 2)
    read = [stem.read(start, seconds) for stem in stems.values()]
    if len({(audio.shape, rate) for audio, rate in read}) > 1:
        raise AudioError(f"the stems of {path.name} differ in rate, channels or length")
    references = torch.from_numpy(np.stack([audio for audio, _ in read]))
    return SearchExcerpt(references[None], read[0][1])


def _suggest(trial: Trial, sample_rate: int) -> tuple[str, int]:
    """A transform as `parse_transform` takes it, and the samples of its slices."""
    scale: ScaleName = trial.suggest_categorical("scale", _SCALES)  # type: ignore[assignment]
    bins = trial.suggest_int("bins", *_BINS)
    fmin = round(trial.suggest_float("fmin", *_FMIN, log=True), 1)
    stretch = trial.suggest_float("stretch", *_STRETCH, log=True)
    suggested = make_scale(scale, bins, fmin, sample_rate).suggested_slice(sample_rate)
    slice_length = 4 * round(stretch * suggested / 4)
    return f"slicq:{scale}:{bins}:{fmin}:{slice_length}", slice_length
