"""Test sets: what is measured, and how whole tracks are separated."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

from soloist.metrics import si_sdr
from soloist.separators import Separator
from soloist.training import Recipe, run_tests, write_results
from soloist.training.results.testing import ALL, card_quality

RATE = 1000


class Halves(Separator):
    """Says of each source that it is half of the mixture, and remembers how much it was given at once."""

    def __init__(self, *, ordered: bool = True) -> None:
        super().__init__(sources=("vocals", "drums"), sample_rate=RATE, channels=1, ordered=ordered)
        self.longest = torch.zeros((), dtype=torch.long)

    @property
    def chunk_length(self) -> int:
        return 500

    def estimate(self, mixture: torch.Tensor) -> torch.Tensor:
        # In place, so that copies share it.
        self.longest.fill_(max(int(self.longest), mixture.shape[-1]))
        return mixture[:, None].expand(-1, 2, -1, -1) / 2

    def __deepcopy__(self, memo):
        return self


@pytest.fixture
def songs(tmp_path):
    """Two songs of different lengths."""
    rng = np.random.default_rng(0)
    for name, length in (("long", 6000), ("short", 1700)):
        (tmp_path / "songs" / name).mkdir(parents=True)
        for stem, level in (("vocals", 0.1), ("drums", 0.05)):
            audio = level * rng.standard_normal(length)
            soundfile.write(tmp_path / "songs" / name / f"{stem}.wav", audio, RATE, subtype="FLOAT")
    return tmp_path / "songs"


def recipe_of(songs, **mixer) -> Recipe:
    corpus = {"class_path": "soloist.datasets.StemFolders"}
    arguments = {"corpus": corpus, "split": "all", "duration": 1.0, "channels": 1}
    values = {
        "name": "halves",
        "separator": {
            "class_path": "soloist.separators.FilterbankSeparator",
            "init_args": {"sources": ["vocals", "drums"], "sample_rate": RATE},
        },
        "data": {
            "root": str(songs),
            "train": {"class_path": "soloist.mixing.StemMixer", "init_args": arguments},
            "test": {"songs": mixer},
        },
        "loss": {"class_path": "soloist.losses.SISDR"},
    }
    return Recipe.parse(values, "the recipe")


def test_whole_tracks_are_separated_in_chunks(songs):
    separator = Halves()
    (outcome,) = run_tests(separator, recipe_of(songs, duration=None), device="cpu")
    assert sorted(example.name for example in outcome.examples) == ["long", "short"]
    assert 0 < int(separator.longest) <= 500
    by_name = {example.name: example.figures for example in outcome.examples}
    for name, figures in by_name.items():
        stems = [
            torch.from_numpy(soundfile.read(songs / name / f"{stem}.wav", dtype="float32")[0])[None]
            for stem in separator.sources
        ]
        half = sum(stems) / 2
        expected = [float(si_sdr(stem, half)) for stem in stems]
        assert figures["si_sdr"] == pytest.approx(expected, abs=1e-3)
        # Scaling does not count, so half the mixture is as good as the mixture.
        assert figures["si_sdri"] == pytest.approx([0, 0], abs=1e-3)


def test_examples_of_a_fixed_duration_are_separated_at_once(songs):
    separator = Halves()
    run_tests(separator, recipe_of(songs), device="cpu")
    assert int(separator.longest) == 1000


def test_each_stem_is_told_where_the_order_means_something(songs, tmp_path):
    told = []
    ordered, unordered = (
        run_tests(
            Halves(ordered=ordered), recipe_of(songs), device="cpu", advance=lambda *args: told.append(args)
        )[0]
        for ordered in (True, False)
    )
    assert list(ordered.figures) == [ALL, "vocals", "drums"]
    assert list(unordered.figures) == [ALL]
    assert ordered.figures["vocals"]["sdr"].mean > ordered.figures["drums"]["sdr"].mean
    assert told == 2 * [("songs", 1, 2), ("songs", 2, 2)]
    assert {figure.target for figure in card_quality([ordered])} == {ALL, "vocals", "drums"}
    write_results(tmp_path / "results.json", [ordered], {"recipe": "halves"})
    written = json.loads((tmp_path / "results.json").read_text())
    assert (
        written["tests"]["songs"]["targets"]["drums"]["sdr"]["mean"] == ordered.figures["drums"]["sdr"].mean
    )
    assert (tmp_path / "results.csv").read_text().count(",drums,") == 2
