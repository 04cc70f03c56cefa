"""Search for the sliCQ with the best oracle of mix-phase inversion.

The oracle combines the true magnitudes of the sources with the phase of the mixture. No network that only
estimates magnitudes is likely to be better, and the less the sources overlap, the higher is the SDR.

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
"""Transform with which sliCQs are compared."""

_SCALES: tuple[ScaleName, ...] = ("bark", "mel", "constant-q", "variable-q")
_BINS = (10, 300)
_FMIN = (10.0, 130.0)
_STRETCH = (0.5, 2.0)
_TRANSFORM, _REASON, _BASELINE, _WHERE = "transform", "reason", "baseline", "where"
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search.

    Attributes:
        trials: Number of trials, with those of earlier calls and other processes.
        method: Method of choosing parameters.
        seconds: Duration of the excerpt from the middle of each track.
        tracks: Number of tracks, spread evenly over the corpus.
        seed: Seed of the choice.
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
    """Transform and its SDR.

    Attributes:
        transform: Transform in the notation of `parse_transform`.
        sdr: Mean over tracks and stems, dB; None for an impossible transform.
        reason: Reason why the transform is impossible; else empty.
    """

    transform: str
    sdr: float | None
    reason: str = ""


@dataclass(frozen=True)
class SearchExcerpt:
    """Excerpt of a track's stems.

    Attributes:
        references: `(1, stems, channels, samples)`.
        sample_rate: In Hz.
    """

    references: Tensor
    sample_rate: int


class SliCQSearch:
    """Search for transforms, with a study in a folder that several processes may share.

    Args:
        tracks: The corpus.
        folder: Folder of the study, old or new.
        settings: Settings of the search.

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
        """Run trials until their number is reached.

        Each of several processes may add one more.

        Args:
            notify: Callback that receives the number of trials.
        """
        while (done := len(self._study.get_trials(deepcopy=False, states=_DONE))) < self.settings.trials:
            if notify is not None:
                notify(done)
            self._study.optimize(self._try, n_trials=1)

    @property
    def baseline(self) -> float:
        """SDR of `BASELINE`, dB."""
        if (known := self._study.user_attrs.get(_BASELINE)) is None:
            known = oracle_sdr(BASELINE, self.excerpts)
            self._study.set_user_attr(_BASELINE, known)
        return float(known)

    def tried(self) -> list[Tried]:
        """All trials, the best first, impossible transforms last."""
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
        # Seeded by the number of the trial, so that no two processes draw the same.
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
    """Compute the SDR of mix-phase inversion, dB, averaged over stems and then over excerpts.

    Stems that are silent in an excerpt do not count.

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
    """Load the middles of tracks.

    Args:
        tracks: The corpus.
        seconds: Duration of an excerpt; shorter tracks are loaded whole.
        count: Number of tracks, spread evenly over the corpus.

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
    """Suggest a transform in the notation of `parse_transform`; return it and the length of its slices."""
    scale: ScaleName = trial.suggest_categorical("scale", _SCALES)  # type: ignore[assignment]
    bins = trial.suggest_int("bins", *_BINS)
    fmin = round(trial.suggest_float("fmin", *_FMIN, log=True), 1)
    stretch = trial.suggest_float("stretch", *_STRETCH, log=True)
    suggested = make_scale(scale, bins, fmin, sample_rate).suggested_slice(sample_rate)
    slice_length = 4 * round(stretch * suggested / 4)
    return f"slicq:{scale}:{bins}:{fmin}:{slice_length}", slice_length
