"""The ledger of an experiment: what is done stays done."""

from __future__ import annotations

import json

from soloist.training.experiment.ledger import Inputs, Ledger


def test_a_stage_that_an_earlier_version_did_is_done(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.path.mkdir()
    old = {"loss.class_path": "soloist.losses.ratios.SISDR", "seed": 0}
    ledger._file("train").write_text(json.dumps({"recipe": old, "upstream": {}, "outputs": {}}))
    now = {"loss.class_path": "soloist.losses.SISDR", "seed": 0, "metrics": {}, "callbacks": []}
    assert ledger.why_not_done("train", Inputs(now, {})) is None


def test_another_value_is_a_change(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.finish("train", Inputs({"loss.class_path": "soloist.losses.SISDR", "seed": 0}, {}), [])
    for changed in ({"loss.class_path": "soloist.losses.SNR", "seed": 0}, {"seed": 0}):
        assert ledger.why_not_done("train", Inputs(changed, {})) == "loss.class_path changed"
