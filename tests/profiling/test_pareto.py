"""The quality of models beside what they cost."""

from __future__ import annotations

from soloist.profiling import Profile, ProfileCase, Rating, SeparationFigures
from soloist.profiling.profile_runs import Measured
from soloist.profiling.quality_against_cost import compare
from soloist.profiling.subjects import Facts
from soloist.resources import TimedRuns
from soloist.zoo import Quality

SDR, SI_SDR = (Quality("songs", metric, "vocals", 5.0) for metric in ("SDR (dB)", "SI-SDR (dB)"))
SHORT, LONG = ProfileCase(1.0), ProfileCase(4.0)
TIME = "forward (s)"


def profile(name, *, seconds, quality=()):
    """Of a model that takes so many seconds in each case."""
    facts = Facts(name, 8000, 1, 1, 2_000_000, 2_000_000, 8_000_000, None, 1.0, 1.0, tuple(quality))
    done = [
        Measured(case, SeparationFigures(4e9, None, TimedRuns(median, median, median, 3)))
        for case, median in seconds.items()
    ]
    return Profile(facts, tuple(done))


def test_the_figure_that_most_cards_have_is_compared():
    one = profile("one", seconds={SHORT: 1.0}, quality=[SI_SDR, SDR])
    two = profile("two", seconds={SHORT: 2.0}, quality=[SDR])
    three = profile("three", seconds={SHORT: 3.0}, quality=[SI_SDR])
    four = profile("four", seconds={SHORT: 3.0}, quality=[SDR])
    compared = compare([one, two, three, four], Rating({"four": 7.0, "one": 6.0}))
    # Of those that are asked, the first two have one figure each.
    assert (compared.measure, compared.material) == ("SDR (dB)", "songs, vocals")
    assert {name: quality for name, (quality, *_) in compared.models.items()} == {
        "one": 6.0,
        "two": 5.0,
        "four": 7.0,
    }
    assert compared.left_out == ("three",)


def test_costs_are_those_of_the_smallest_case_that_most_models_have():
    models = [
        profile("slow", seconds={SHORT: 1.0, LONG: 4.0}),
        profile("long", seconds={LONG: 2.0}),
        profile("fast", seconds={SHORT: 0.1, LONG: 0.4}),
    ]
    compared = compare(models, Rating({"slow": 1.0, "long": 2.0, "fast": 3.0}, "taste"))
    assert (compared.measure, compared.material) == ("taste", "")
    assert compared.case == str(LONG)
    costs = {name: costs for name, (_, _, costs) in compared.models.items()}
    assert {name: of[TIME] for name, of in costs.items()} == {"slow": 4.0, "long": 2.0, "fast": 0.4}
    assert costs["slow"] == {
        "GFLOP per s of audio": 4.0,
        TIME: 4.0,
        "backward (s)": None,
        "memory, forward (MB)": None,
        "memory, training (MB)": None,
        "parameters (millions)": 2.0,
    }


def test_nothing_but_its_parameters_is_known_of_a_model_that_lacks_the_case():
    models = [profile("a", seconds={SHORT: 1.0}), profile("b", seconds={LONG: 1.0})]
    compared = compare(models, Rating({"a": 1.0, "b": 2.0}))
    assert compared.case == str(SHORT)
    _, _, costs = compared.models["b"]
    assert {name: value for name, value in costs.items() if value is not None} == {
        "parameters (millions)": 2.0
    }
