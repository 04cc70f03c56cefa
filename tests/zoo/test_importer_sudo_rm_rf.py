"""Published state dicts of SuDoRM-RF are recognised by names and shapes."""

from __future__ import annotations

import pytest
import torch

from reference_vectors import FIXTURES, ReferenceVector, assert_near
from soloist.separators import build_separator
from soloist.zoo.importers import recognize

NETWORKS = ["original", "original_one_source", "improved_short", "groupcomm", "causal"]


def fixture(name):
    return ReferenceVector(FIXTURES / "sudormrf" / f"{name}.npz")


@pytest.mark.parametrize("name", NETWORKS)
def test_recognizes_a_state_dict_and_optimizes_it(name):
    vector = fixture(name)
    model = recognize(vector.state)
    rebuilt = build_separator(model.config, name)
    rebuilt.load_state_dict(model.separator.state_dict())
    assert len(rebuilt.sources) == vector.config["num_sources"]
    rebuilt.optimize()
    with torch.inference_mode():
        output = rebuilt.synthesize(vector["input"])[:, :, 0]
    assert_near(output, vector["output"], 2e-5)


def test_recognizes_the_attentive_variant(shared):
    vector = ReferenceVector(shared / "reference" / "sudormrf" / "attentive.npz")
    model = recognize(vector.state)
    with torch.no_grad():
        output = model.separator.synthesize(vector["input"])[:, :, 0]
    assert_near(output, vector["output"], 2e-5)


def test_recognizes_nothing_in_other_weights():
    assert (
        recognize({"encoder.weight": torch.zeros(4, 1, 21), "decoder.weight": torch.zeros(8, 2, 21)}) is None
    )


@pytest.mark.parametrize(
    ("name", "multiple"), [("original", 160), ("original_one_source", 40), ("groupcomm", 320)]
)
def test_pads_as_its_authors_did(name, multiple):
    """The original pads to the least common multiple of hop (10) and 2 ** depth, others to the product."""
    assert recognize(fixture(name).state).separator.pad_multiple == multiple
