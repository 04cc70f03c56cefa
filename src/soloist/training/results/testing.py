"""How good a trained separator is on the test sets of its recipe."""

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
"""The target that stands for all sources."""

LABELS = {"si_sdr": "SI-SDR", "si_sdri": "SI-SDRi", "sdr": "SDR", "sdri": "SDRi"}


Advance = Callable[[str, int, int], None]
"""Told after each example: the test set, how many examples are done, and how many there are."""


@dataclass(frozen=True)
class ExampleScores:
    """The quality of one test example.

    Attributes:
        name: What it was made of.
        figures: For each of `QUALITY` a value for each source, dB.
    """

    name: str
    figures: dict[str, list[float]]


@dataclass(frozen=True)
class Figure:
    """One measure over the examples of a test set.

    Attributes:
        mean: Over examples, dB.
        median: Over examples, dB.
        low: Lower end of the 95 % interval of the mean.
        high: Its upper end.
    """

    mean: float
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Figure:
        """Summarise one value for each example; what is NaN is left out."""
        return cls(
            summarize(values, "mean"), summarize(values), *bootstrap_interval(values, statistic="mean")
        )


@dataclass(frozen=True)
class TestSet:
    """What came out on one test set.

    Attributes:
        name: Its name in the recipe.
        sources: Those that are told apart: the sources of an ordered separator, none of another.
        examples: The scores.
        skipped: What could not be read.
    """

    # pytest takes classes of this name for tests.
    __test__ = False

    name: str
    sources: tuple[str, ...]
    examples: tuple[ExampleScores, ...]
    skipped: tuple[Skip, ...]

    @cached_property
    def figures(self) -> dict[str, dict[str, Figure]]:
        """For all sources together, and for each that is told apart, each of `QUALITY`."""
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
        separator: What is measured.
        recipe: Says what the test sets are, and how many examples they have.
        device: "auto", "cpu", "cuda", ...
        advance: Told after each example.

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
    """An example of the first test set of a recipe or, where there is none, of its validation.

    Args:
        recipe: Says what it is tested on.
        number: Which example, from 0 on.
        start: Where in the example to begin, s.
        duration: How much of it, s.

    Raises:
        UsageError: The recipe is not tested on anything, or the example is over before `start`.
        SoloistError: It cannot be read.
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
        tests: What was measured.
        about: What else is to be said, in plain values.
    """
    summary = {
        test.name: {
            "examples": len(test.examples),
            "skipped": count_skips(test.skipped),
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
    """What a card says: the mean improvements, for all sources or for each that is told apart."""
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
    """The scores of the first examples of a mixer, one after the other.

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
        yield batch, ExampleScores(batch.names[0], figures)


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
