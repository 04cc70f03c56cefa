"""Tests: quality of a trained separator on the test sets of its recipe."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.files import json_text, write_whole
from soloist.inference import TorchEngine, find_device, measure_level, separate_stream
from soloist.inspection import Excerpt
from soloist.metrics import bootstrap_interval, summarize
from soloist.mixing import Mixer
from soloist.separators import Separator
from soloist.training.data.batches import (
    ExampleBatch,
    ExampleDataset,
    Skip,
    count_skips,
    in_batches,
    make_loader,
)
from soloist.training.loop.quality import QUALITY, measure_quality
from soloist.training.recipe.recipe import Recipe
from soloist.zoo import Quality

ALL = "all"
"""Name of the target for all sources together."""

LABELS = {"si_sdr": "SI-SDR", "si_sdri": "SI-SDRi", "sdr": "SDR", "sdri": "SDRi"}


Advance = Callable[[str, int, int], None]
"""Callback after each example: test set, number of done examples, number of examples."""


@dataclass(frozen=True)
class ExampleScores:
    """Quality of one test example.

    Attributes:
        name: Recordings that the example is made of.
        figures: Value for each source, dB, by name of `QUALITY`.
    """

    name: str
    figures: dict[str, list[float]]
    silent: tuple[bool, ...] = ()
    """True for each source whose reference is silent."""


@dataclass(frozen=True)
class Figure:
    """One measure over the examples of a test set.

    Attributes:
        mean: Over examples, dB.
        median: Over examples, dB.
        low: Lower end of the 95 % interval of the mean.
        high: Upper end of the interval.
    """

    mean: float
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Figure:
        """Summarise one value for each example, without NaN."""
        return cls(
            summarize(values, "mean"), summarize(values), *bootstrap_interval(values, statistic="mean")
        )


@dataclass(frozen=True)
class TestSet:
    """Results of one test set.

    Attributes:
        name: Name in the recipe.
        sources: Source names if ordered, else empty.
        examples: Scores of each example.
        skipped: Unreadable examples.
    """

    # pytest takes classes of this name for tests.
    __test__ = False

    name: str
    sources: tuple[str, ...]
    examples: tuple[ExampleScores, ...]
    skipped: tuple[Skip, ...]

    @property
    def silent(self) -> tuple[str, ...]:
        """Sources whose references are silent in all examples; `ALL` for all of an unordered separator."""
        flags = [example.silent for example in self.examples]
        silent = [all(flag) for flag in zip(*flags, strict=True)]
        # Without order the sources have no names here.
        named = [name for name, flag in zip(self.sources, silent, strict=False) if flag]
        return tuple(named) or ((ALL,) if silent and all(silent) else ())

    @cached_property
    def figures(self) -> dict[str, dict[str, Figure]]:
        """Figures of `QUALITY` by target: all sources together, and each of `sources`."""
        told = {ALL: slice(None)} | {name: slice(i, i + 1) for i, name in enumerate(self.sources)}
        return {
            target: {
                measure: Figure.of(
                    np.array([summarize(example.figures[measure][part], "mean") for example in self.examples])
                )
                for measure in QUALITY
            }
            for target, part in told.items()
        }


def run_tests(
    separator: Separator,
    recipe: Recipe,
    *,
    device: str = "auto",
    advance: Advance | None = None,
) -> list[TestSet]:
    """Measure a separator on all test sets of a recipe.

    Args:
        separator: Separator to measure.
        recipe: Recipe with the test sets.
        device: "auto", "cpu", "cuda", ...
        advance: Callback after each example.

    Raises:
        ConfigError: A test set's configuration is not valid.
        SoloistError: Too many examples in a row cannot be read.
    """
    tests = []
    for name, part in recipe.data.test.items():
        mixer: Mixer = recipe.build(recipe.data.mixer(part), Mixer)
        count = recipe.data.test_examples or len(mixer)
        examples: list[ExampleScores] = []
        skipped: list[Skip] = []
        for batch, scores in _measure(separator, mixer, count, recipe.data.workers, device):
            examples.append(scores)
            skipped += batch.skipped
            if advance is not None:
                advance(name, len(examples), count)
        told = separator.sources if separator.ordered else ()
        tests.append(TestSet(name, told, tuple(examples), tuple(skipped)))
    return tests


def draw_excerpt(recipe: Recipe, number: int = 0, *, start: float = 0.0, duration: float = 10.0) -> Excerpt:
    """Draw an example of the first test set of a recipe, or else of its validation.

    Args:
        recipe: Recipe with test or validation examples.
        number: Number of the example, from 0 on.
        start: Beginning of the excerpt, s.
        duration: Length of the excerpt, s.

    Raises:
        UsageError: The recipe has no such examples, or the example ends before `start`.
        SoloistError: The example cannot be read.
    """
    data = recipe.data
    part = next(iter(data.test.values()), data.valid)
    if part is None:
        raise UsageError(f"the recipe {recipe.name} has no test and no validation examples: name a file")
    mixer: Mixer = recipe.build(data.mixer(part), Mixer)
    example, _ = ExampleDataset(mixer)[number]
    rate = mixer.sample_rate
    first, last = round(start * rate), round((start + duration) * rate)
    if first >= example.mixture.shape[-1]:
        raise UsageError(f"example {number} of {recipe.name} ends before {start:g} s")
    references = dict(zip(mixer.sources, example.references[..., first:last], strict=True))
    return Excerpt(example.name, example.mixture[:, first:last], rate, references)


def write_results(path: Path, tests: list[TestSet], about: dict[str, Any]) -> None:
    """Write `results.json`, and beside it a table with a row for each example and source.

    Args:
        path: The JSON file.
        tests: Results of the test sets.
        about: Other entries, in plain values.
    """
    summary = {
        test.name: {
            "examples": len(test.examples),
            "skipped": count_skips(test.skipped),
            "silent": list(test.silent),
            "targets": {
                target: {measure: _plain(asdict(figure)) for measure, figure in figures.items()}
                for target, figures in test.figures.items()
            },
        }
        for test in tests
    }
    text = json_text({**about, "tests": summary}, indent=2, ensure_ascii=False)
    write_whole(path, text + "\n")
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["set", "example", "source", *QUALITY])
    writer.writerows(row for test in tests for row in _rows(test))
    write_whole(path.with_suffix(".csv"), table.getvalue())


def card_quality(tests: list[TestSet]) -> list[Quality]:
    """Mean ratios and improvements for a card, for all sources and for each of an ordered separator."""
    return [
        Quality(test.name, f"{LABELS[measure]} (dB)", target, round(figures[measure].mean, 2))
        for test in tests
        for target, figures in test.figures.items()
        for measure in ("si_sdri", "sdr", "sdri")
        if math.isfinite(figures[measure].mean)
    ]


def _measure(
    separator: Separator, mixer: Mixer, count: int, workers: int, device: str
) -> Iterator[tuple[ExampleBatch, ExampleScores]]:
    """Measure the first examples of a mixer, one after the other.

    Examples of a fixed duration are separated at once, as in validation. Whole tracks are separated in
    chunks, as `soloist separate` does it, and are not read ahead: that bounds the memory.
    """
    whole = mixer.duration is None
    separate = _in_chunks(separator, device) if whole else _at_once(separator, device)
    loader = make_loader(mixer, in_batches(count, 1), workers=0 if whole else workers)
    for batch in loader:
        estimates = separate(batch.mixture)
        quality = measure_quality(batch.references, estimates, batch.mixture, ordered=separator.ordered)
        figures = {name: values[0].tolist() for name, values in quality.items()}
        silent = batch.references[0].eq(0).flatten(1).all(dim=1).tolist()
        yield batch, ExampleScores(batch.names[0], figures, tuple(silent))


def _at_once(separator: Separator, device: str) -> Callable[[Tensor], Tensor]:
    target = find_device(device)
    separator = separator.eval().to(target)

    @torch.inference_mode()
    def separate(mixture: Tensor) -> Tensor:
        estimates: Tensor = separator(mixture.to(target)).cpu()
        return estimates

    return separate


def _in_chunks(separator: Separator, device: str) -> Callable[[Tensor], Tensor]:
    separator = separator.eval().cpu()
    engine = TorchEngine(separator, device)

    def separate(mixture: Tensor) -> Tensor:
        blocks = [mixture[0].numpy()]
        level = measure_level(blocks) if separator.normalization == "track" else None
        pairs = separate_stream(separator, blocks, separator.sample_rate, engine=engine, level=level)
        return torch.from_numpy(np.concatenate([estimates for _, estimates in pairs], axis=-1))[None]

    return separate


def _rows(test: TestSet) -> Iterator[list[Any]]:
    for example in test.examples:
        columns = [example.figures[measure] for measure in QUALITY]
        for place, values in enumerate(zip(*columns, strict=True)):
            source = test.sources[place] if test.sources else place + 1
            yield [test.name, example.name, source, *(f"{value:.4f}" for value in values)]


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN and no infinity."""
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
