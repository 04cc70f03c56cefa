"""Scores of a track from references and estimates."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soloist.audio import Audio
from soloist.config import build_object, find_class
from soloist.config.building import check
from soloist.datasets import sum_of
from soloist.errors import UsageError
from soloist.evaluation.records import FRAME_METRICS, TRACK_METRICS, TargetScores
from soloist.evaluation.scenarios import Scenario, scenarios
from soloist.metrics import Metric, NamedMetric, bss_eval, sdr, si_sdr, summarize
from soloist.metrics.overlapping_blocks import Stretches

_EVERY_NAME = {metric.lower() for metric in (*FRAME_METRICS, *TRACK_METRICS)}
"""Names of the metrics that every record has."""

_OPTION = "--metrics"
_ANY_RATE = 16000
"""Hz; to check metrics before the rate of a track is known."""


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of scoring.

    Attributes:
        window: Length of the windows of BSS Eval, s.
        hop: Distance of the windows, s.
        rank_tolerance: Relative size below which BSS Eval takes a direction of the references for missing;
            see `soloist.metrics.bss_eval_v4`. 0 solves as museval does.
        start: Start of the scored part of a track, s.
        duration: Duration of that part, s; None for the rest.
        metrics: Further metrics of the whole part: names of `soloist.metrics.NamedMetric`, or class paths of
            your own; see `soloist.metrics.Metric`.
    """

    window: float = 1.0
    hop: float = 1.0
    rank_tolerance: float = 1e-8
    start: float = 0.0
    duration: float | None = None
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.window > 0 and self.hop > 0):
            raise UsageError(f"window {self.window:g} s and hop {self.hop:g} s must be longer than 0 s")
        if not 0 <= self.rank_tolerance < 1:
            raise UsageError(f"rank tolerance {self.rank_tolerance:g} must lie in 0..1")
        if self.start < 0 or (self.duration is not None and not self.duration > 0):
            raise UsageError("the start must not be negative and the duration must be more than 0 s")
        self.further_metrics(_ANY_RATE)

    def further_metrics(self, sample_rate: int) -> dict[str, Metric]:
        """The further metrics, by their labels or the names of their classes; see `metrics`.

        Args:
            sample_rate: Rate of the signals, Hz; given to classes that take it.

        Raises:
            UsageError: There is no metric of a name, or every record has it.
            ConfigError: There is no such class, or it is no metric.
        """
        built = [_build_metric(name, sample_rate) for name in self.metrics if name.lower() not in _EVERY_NAME]
        metrics = dict(built)
        if taken := [label for label in metrics if label.lower() in _EVERY_NAME]:
            raise UsageError(f"--metrics: every record has {taken[0]!r}; give the class another name")
        return metrics

    def fingerprint(self) -> dict[str, Any]:
        """Settings that scores depend on, without those of later versions that are not used."""
        later: dict[str, Any] = {"start": 0.0, "duration": None, "metrics": []}
        # As JSON gives them back: a tuple would not be equal to its list.
        values = {**asdict(self), "metrics": list(self.metrics)}
        return {name: value for name, value in values.items() if name not in later or value != later[name]}


def score_estimates(
    references: Mapping[str, Audio],
    estimates: Mapping[str, Audio],
    sample_rate: int,
    settings: ScoreSettings | None = None,
) -> list[TargetScores]:
    """Score the estimates of a track against its stems.

    Args:
        references: All stems of the track `(channels, samples)`; stems without estimates can interfere.
        estimates: Estimates of stems or of their unions (`accompaniment`, `no_vocals`), of the same shape.
        sample_rate: Sample rate of references and estimates, Hz.
        settings: Settings of scoring; None for the defaults.

    Returns:
        Scores in the order of the estimates; NaN for a silent reference or estimate.

    Raises:
        UsageError: A reference is missing, or shapes differ.
    """
    settings = settings or ScoreSettings()
    _check_shapes(references, estimates)
    scores: dict[str, TargetScores] = {}
    for scenario in scenarios(tuple(estimates), tuple(references)):
        scores |= _score_scenario(scenario, references, estimates, sample_rate, settings)
    mixture = np.sum(list(references.values()), axis=0)
    for metric, measure in settings.further_metrics(sample_rate).items():
        for name, estimate in estimates.items():
            scores[name].whole[metric] = _measure(measure, references, name, estimate, mixture)
            scores[name].unprocessed[metric] = _measure(measure, references, name, mixture, mixture)
    return [scores[name] for name in estimates]


def _measure(
    measure: Metric, references: Mapping[str, Audio], name: str, estimate: Audio, mixture: Audio
) -> float:
    """Value of a further metric for one target."""
    true, estimated, mixed = (
        torch.from_numpy(audio)[None] for audio in (sum_of(references, name), estimate, mixture)
    )
    return float(measure(true[None], estimated[None], mixed))


def _build_metric(name: str, sample_rate: int) -> tuple[str, Metric]:
    """Build a metric by its name or class path; gives its label, too."""
    if "." not in name:
        named = NamedMetric(name, sample_rate)
        return named.label, named
    check({"class_path": name}, _OPTION)
    taken = inspect.signature(find_class(name, _OPTION)).parameters
    arguments = {"sample_rate": sample_rate} if "sample_rate" in taken else {}
    metric = build_object({"class_path": name, "init_args": arguments}, _OPTION, Metric)  # type: ignore[type-abstract]
    return name.rpartition(".")[2], metric


def match_by_quality(references: Mapping[str, Audio], estimates: Mapping[str, Audio]) -> dict[str, Audio]:
    """Name estimates after the references that they fit best, by the SIR of the whole track.

    For unordered sources, such as talkers.

    Args:
        references: Sources `(channels, samples)`.
        estimates: Estimates of the same number and shape, under any names.

    Raises:
        UsageError: There are not as many estimates as references.
    """
    if len(estimates) != len(references):
        raise UsageError(
            f"{len(estimates)} estimates cannot be matched to {len(references)} references by their quality"
        )
    candidates = list(estimates.values())
    result = bss_eval(
        _stack(list(references.values())), _stack(candidates), window=math.inf, hop=math.inf, permutation=True
    )
    order = result.permutation.reshape(len(candidates), -1)[:, 0].tolist()
    return {name: candidates[index] for name, index in zip(references, order, strict=True)}


def _check_shapes(references: Mapping[str, Audio], estimates: Mapping[str, Audio]) -> None:
    shapes = {audio.shape for audio in (*references.values(), *estimates.values())}
    if len(shapes) != 1:
        raise UsageError(f"references and estimates must have one shape, not {sorted(shapes)}")


def _score_scenario(
    scenario: Scenario,
    references: Mapping[str, Audio],
    estimates: Mapping[str, Audio],
    sample_rate: int,
    settings: ScoreSettings,
) -> dict[str, TargetScores]:
    true = {name: sum_of(references, name) for name in scenario.references}
    frames, deficient = _score_frames(true, estimates, sample_rate, settings)
    mixture = np.sum(list(references.values()), axis=0)
    return {
        name: TargetScores(
            name,
            frames[name],
            _score_whole(estimates[name], true[name]),
            deficient,
            _score_unprocessed(mixture, true[name], sample_rate, settings),
        )
        for name in scenario.scored
    }


def _score_frames(
    true: Mapping[str, Audio], estimates: Mapping[str, Audio], sample_rate: int, settings: ScoreSettings
) -> tuple[dict[str, dict[str, list[float]]], bool]:
    """Compute BSS Eval of each target, and tell whether the references are rank-deficient.

    The reference stands in for a silent or missing estimate: it can still interfere in the other estimates,
    whose scores do not depend on the set of estimates.
    """
    estimated = {name: audio for name, audio in estimates.items() if audio.any()}
    result = bss_eval(
        _stack(list(true.values())),
        _stack([estimated.get(name, audio) for name, audio in true.items()]),
        window=settings.window * sample_rate,
        hop=settings.hop * sample_rate,
        rank_tolerance=settings.rank_tolerance,
    )
    frames = {}
    for row, name in enumerate(true):
        ratios = {metric: getattr(result, metric.lower())[row] for metric in FRAME_METRICS}
        unknown = name not in estimated
        frames[name] = {
            metric: (torch.full_like(values, math.nan) if unknown else values).tolist()
            for metric, values in ratios.items()
        }
    return frames, result.rank_deficient


def _score_unprocessed(
    mixture: Audio, reference: Audio, sample_rate: int, settings: ScoreSettings
) -> dict[str, float]:
    """Score the mixture as the estimate: the SDR of BSS Eval v4 for images needs no filters."""
    windows = Stretches.frames(reference.shape[-1], settings.window * sample_rate, settings.hop * sample_rate)
    pairs = zip(windows.starts.tolist(), windows.stops.tolist(), strict=True)
    frames = [
        float(sdr(*(torch.from_numpy(audio[:, start:stop]).double() for audio in (reference, mixture))))
        for start, stop in pairs
    ]
    return {"SDR": summarize(frames), **_score_whole(mixture, reference)}


def _score_whole(estimate: Audio, reference: Audio) -> dict[str, float]:
    pair = torch.from_numpy(reference).double(), torch.from_numpy(estimate).double()
    return {"SI-SDR": float(si_sdr(*pair)), "uSDR": float(sdr(*pair))}


def _stack(audio: Sequence[Audio]) -> Tensor:
    return torch.from_numpy(np.stack(audio))
