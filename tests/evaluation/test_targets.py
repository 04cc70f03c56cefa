"""Targets that are scored together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.datasets import components
from soloist.errors import UsageError
from soloist.evaluation.scenarios import Scenario, complement, scenarios

STEMS = ("vocals", "drums", "bass", "other")
UNIONS = ("accompaniment", "no_drums", "no_bass", "harmonic", "percussive")


def test_vocals_and_accompaniment_are_scored_against_each_other():
    runs = scenarios([*STEMS, "accompaniment"], STEMS)
    assert runs == [
        Scenario(("drums", "bass", "other", "vocals"), ("drums", "bass", "other")),
        Scenario(("vocals", "accompaniment"), ("vocals", "accompaniment")),
    ]


def test_what_was_not_estimated_is_a_reference_all_the_same():
    assert scenarios(["bass"], STEMS) == [Scenario(("bass", "vocals", "drums", "other"), ("bass",))]
    assert scenarios(["no_drums"], STEMS) == [Scenario(("no_drums", "drums"), ("no_drums",))]


def test_an_unknown_target_is_refused():
    with pytest.raises(UsageError, match="no reference for piano: there are vocals"):
        scenarios(["bass", "piano"], STEMS)


@given(st.lists(st.sampled_from([*STEMS, *UNIONS]), unique=True, min_size=1))
def test_each_run_has_every_stem_once_and_each_target_is_scored(targets):
    runs = scenarios(targets, STEMS)
    for run in runs:
        assert sorted(stem for name in run.references for stem in components(name, STEMS)) == sorted(STEMS)
        assert run.references[: len(run.scored)] == run.scored
    assert {name for run in runs for name in run.scored} == set(targets)


def test_the_complement_has_the_name_that_the_field_gives_it():
    assert complement("vocals") == "accompaniment"
    assert complement("drums") == "no_drums"
