"""SuDoRM-RF is reproduced from what its authors' code recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from soloist.errors import ModelError
from soloist.separators import build_separator
from soloist.zoo.importers import from_reference, recognize

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sudormrf"
NETWORKS = ["original", "original_one_source", "improved_short", "groupcomm", "causal"]
OUTSIDE = ["attentive", "improved"]
TOLERANCE = 2e-5


def _vector(folder: Path, name: str):
    with np.load(folder / f"{name}.npz") as stored:
        vector = dict(stored)
    state = {key.removeprefix("state/"): vector.pop(key) for key in list(vector) if key.startswith("state/")}
    return (
        json.loads(str(vector.pop("config"))),
        state,
        {key: torch.from_numpy(vector[key]) for key in vector},
    )


def _assert_met(config, state, signals):
    output = from_reference(config, state)(signals["input"])
    assert output.shape == signals["output"].shape
    assert (output - signals["output"]).abs().max() < TOLERANCE * signals["output"].abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_meets_the_fixture(name):
    _assert_met(*_vector(FIXTURES, name))


@pytest.mark.parametrize("name", OUTSIDE)
def test_meets_the_vector(name, shared):
    _assert_met(*_vector(shared / "reference" / "sudormrf", name))


@pytest.mark.parametrize("as_list", [False, True])
def test_meets_mixture_consistency(as_list):
    config, state, signals = _vector(FIXTURES, "mixture_consistency")
    given = {key: signals[f"input/{key}"] for key in ("estimates", "mixture")}
    outputs = from_reference(config, state)(list(given.values()) if as_list else given)
    for key, output in outputs.items():
        assert (output - signals[f"output/{key}"]).abs().max() < 1e-6


@pytest.mark.parametrize("name", NETWORKS)
def test_recognizes_a_state_dict_and_optimizes_it(name):
    config, state, signals = _vector(FIXTURES, name)
    model = recognize({key: torch.from_numpy(value) for key, value in state.items()})
    rebuilt = build_separator(model.config, name)
    rebuilt.load_state_dict(model.separator.state_dict())
    assert len(rebuilt.sources) == config["num_sources"]
    rebuilt.optimize()
    with torch.inference_mode():
        output = rebuilt.synthesize(signals["input"])[:, :, 0]
    assert (output - signals["output"]).abs().max() < TOLERANCE * signals["output"].abs().max()


def test_an_original_with_as_many_channels_as_filters_has_no_layer_between_them():
    config, state, signals = _vector(FIXTURES, "original_one_source")
    wide = {**config, "out_channels": config["enc_num_basis"]}
    state = {key: value for key, value in _widened(state, 12, 16).items() if "reshape" not in key}
    output = from_reference(wide, state)(signals["input"])
    assert output.shape == signals["output"].shape
    recognized = recognize({key: torch.from_numpy(value) for key, value in state.items()})
    with torch.no_grad():
        again = recognized.separator.synthesize(signals["input"])[:, :, 0]
    assert torch.equal(output, again)


def _widened(state, size, wider):
    """Weights whose axes of one size are another, with ones at their ends."""
    return {
        key: np.pad(
            value, [(0, wider - size if length == size else 0) for length in value.shape], constant_values=1
        )
        for key, value in state.items()
    }


def test_recognizes_the_attentive_variant(shared):
    _, state, signals = _vector(shared / "reference" / "sudormrf", "attentive")
    model = recognize({key: torch.from_numpy(value) for key, value in state.items()})
    with torch.no_grad():
        output = model.separator.synthesize(signals["input"])[:, :, 0]
    assert (output - signals["output"]).abs().max() < TOLERANCE * signals["output"].abs().max()


def test_recognizes_nothing_in_other_weights():
    assert (
        recognize({"encoder.weight": torch.zeros(4, 1, 21), "decoder.weight": torch.zeros(8, 2, 21)}) is None
    )


def test_weights_that_do_not_fit_are_refused_in_one_line():
    config, state, _ = _vector(FIXTURES, "improved_short")
    with pytest.raises(ModelError, match="SuDoRM-RF") as caught:
        from_reference({**config, "out_channels": 13}, state)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "multiple"), [("original", 160), ("original_one_source", 40), ("groupcomm", 320)]
)
def test_pads_as_its_authors_did(name, multiple):
    """The original to the least common multiple of hop (10) and 2 ** depth, the later ones to the product."""
    _, state, _ = _vector(FIXTURES, name)
    model = recognize({key: torch.from_numpy(value) for key, value in state.items()})
    assert model.separator.pad_multiple == multiple
