"""Preparation of a training: a check of its corpora."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from soloist.config import find_class
from soloist.datasets import Corpus, Report, check_corpus
from soloist.errors import SoloistError
from soloist.training.recipe.recipe import Recipe


def check_corpora(recipe: Recipe) -> list[Report]:
    """Decode all splits of all corpora that a recipe uses.

    Raises:
        SoloistError: A corpus has errors; the message holds the first one.
    """
    reports = []
    for corpus, splits in _corpora(recipe):
        report = check_corpus(corpus, splits, jobs=max(1, recipe.data.workers))
        if report.errors:
            raise SoloistError(
                f"{report.errors} error{'s' * (report.errors > 1)} in {report.corpus}, the first one: "
                f"{report.findings[0]}; soloist data check tells all, --stages leaves prepare out"
            )
        reports.append(report)
    return reports


def _corpora(recipe: Recipe) -> list[tuple[Corpus, list[str]]]:
    """List the corpora of a recipe, with the splits that it uses."""
    data = recipe.data
    parts = [data.train, *([] if data.valid is None else [data.valid]), *data.test.values()]
    found: list[tuple[Mapping[str, Any], list[str]]] = []
    for part in parts:
        for config, split in _find(recipe.resolve(data.mixer(part)), recipe.name):
            splits = next((splits for known, splits in found if known == config), None)
            if splits is None:
                splits = []
                found.append((config, splits))
            if split not in splits:
                splits.append(split)
    return [(recipe.build(dict(config), Corpus), splits) for config, splits in found]


def _find(value: Any, where: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Find corpora in a configuration, each with the split beside it."""
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _find(part, where)
    elif isinstance(value, Mapping):
        for part in value.values():
            split = value.get("split")
            named = isinstance(part, Mapping) and "class_path" in part and split is not None
            if named and issubclass(find_class(part["class_path"], where), Corpus):
                yield part, str(split)
            else:
                yield from _find(part, where)
