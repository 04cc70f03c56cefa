import numpy as np
import pytest

from soloist.errors import UsageError
from soloist.inference import StemSelection
from soloist.inference.stem_selection import NullTest

SOURCES = ("vocals", "drums", "bass")
RANDOM = np.random.default_rng(0)
MIXTURE = RANDOM.standard_normal((2, 50)).astype(np.float32)
ESTIMATES = RANDOM.standard_normal((3, 2, 50)).astype(np.float32)


def test_all_stems_by_default_as_they_are():
    selection = StemSelection()
    assert selection.names(SOURCES) == SOURCES
    np.testing.assert_array_equal(selection.select(MIXTURE, ESTIMATES, SOURCES), ESTIMATES)


def test_stems_come_in_the_order_asked_for():
    selection = StemSelection(stems=("bass", "vocals"))
    assert selection.names(SOURCES) == ("bass", "vocals")
    np.testing.assert_array_equal(selection.select(MIXTURE, ESTIMATES, SOURCES), ESTIMATES[[2, 0]])


def test_a_stem_and_everything_else_add_up():
    selection = StemSelection(complement_of="drums")
    stems = selection.select(MIXTURE, ESTIMATES, SOURCES)
    assert selection.names(SOURCES) == ("drums", "no_drums")
    np.testing.assert_array_equal(stems[0], ESTIMATES[1])
    np.testing.assert_allclose(stems.sum(axis=0), MIXTURE, atol=1e-6)


def test_everything_without_some_stems_is_one_stem():
    selection = StemSelection(without=("drums", "bass"))
    assert selection.names(SOURCES) == ("no_drums_bass",)
    (stem,) = selection.select(MIXTURE, ESTIMATES, SOURCES)
    np.testing.assert_allclose(stem + ESTIMATES[1] + ESTIMATES[2], MIXTURE, atol=1e-6)
    with pytest.raises(UsageError, match="the only stem"):
        StemSelection(without=("drums",), residual=True)


@pytest.mark.parametrize(
    ("selection", "needed"),
    [
        (StemSelection(), SOURCES),
        (StemSelection(stems=("bass", "vocals"), residual=True), ("bass", "vocals")),
        (StemSelection(complement_of="drums"), ("drums",)),
        (StemSelection(without=("drums", "bass")), ("drums", "bass")),
        (StemSelection(stems=("bass",), consistency="mixture"), SOURCES),
    ],
)
def test_the_sources_that_stems_are_made_of(selection, needed):
    assert selection.needed(SOURCES) == needed
    places = [SOURCES.index(name) for name in needed]
    np.testing.assert_array_equal(
        selection.select(MIXTURE, ESTIMATES[places], needed), selection.select(MIXTURE, ESTIMATES, SOURCES)
    )


@pytest.mark.parametrize("stems", [(), ("vocals",)])
def test_the_residual_is_what_no_written_stem_holds(stems):
    selection = StemSelection(stems=stems, residual=True)
    chosen = selection.select(MIXTURE, ESTIMATES, SOURCES)
    assert selection.names(SOURCES)[-1] == "residual"
    np.testing.assert_allclose(chosen.sum(axis=0), MIXTURE, atol=1e-6)


def test_consistency_shares_what_is_missing_equally():
    consistent = StemSelection(consistency="mixture").select(MIXTURE, ESTIMATES, SOURCES)
    np.testing.assert_allclose(consistent.sum(axis=0), MIXTURE, atol=1e-6)
    moved = consistent - ESTIMATES
    np.testing.assert_allclose(moved[0], moved[1], atol=1e-6)


@pytest.mark.parametrize("selection", [StemSelection(("guitar",)), StemSelection(complement_of="guitar")])
def test_a_stem_that_the_model_lacks_is_named_with_those_it_has(selection):
    with pytest.raises(UsageError, match=r"guitar.*vocals, drums, bass"):
        selection.check(SOURCES)


def test_the_null_test_measures_in_decibels_of_full_scale():
    test = NullTest()
    test.add(np.full((2, 100), 0.5, np.float32), np.full((1, 2, 100), 0.4, np.float32))
    assert test.level == pytest.approx(-20, abs=1e-3)
    perfect = NullTest()
    perfect.add(MIXTURE, MIXTURE[None])
    assert perfect.level == float("-inf")
