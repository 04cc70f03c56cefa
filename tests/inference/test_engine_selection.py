"""Engine selection: the requested engine, or the best of a calibration."""

from __future__ import annotations

import json
import math

import pytest
import torch

from families import make_family
from soloist.errors import UsageError
from soloist.inference import Calibration, Trial, calibration_path, load_calibration, save_calibration
from soloist.inference.engine_selection import EngineSelection
from soloist.separators import HPSS, Ensemble


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))
    return tmp_path


def trial(engine, chunk, start=0.0, difference=0.0, threads=1, batch_size=1, **lower):
    return Trial(engine, threads, batch_size, chunk, start, 0.0, 100.0, difference, **lower)


def calibrate(separator, *trials):
    save_calibration(separator, Calibration((trial("torch", 1.0), *trials)))


def select(separator, chunks=100, name="auto", precision="auto"):
    return EngineSelection(separator, name, "cpu", precision).select(chunks)


def test_it_is_pytorch_before_anything_was_measured():
    assert select(make_family("unet-tdc"), 10**7).engine.name == "torch"


def test_it_is_the_fastest_of_a_calibration():
    separator = make_family("unet-tdc")
    calibrate(separator, trial("openvino", 0.5, batch_size=4), trial("onnxruntime", 0.7))
    selected = select(separator)
    assert (selected.engine.name, selected.batch_size) == ("openvino", 4)


@pytest.mark.parametrize("difference", [2e-4, math.nan])
def test_it_is_none_that_estimates_something_else(difference):
    separator = make_family("unet-tdc")
    calibrate(separator, trial("openvino", 0.5, difference=difference), trial("onnxruntime", 0.7))
    assert select(separator).engine.name == "onnxruntime"


def test_a_short_recording_does_not_wait_for_an_engine_to_start():
    separator = make_family("unet-tdc")
    calibrate(separator, trial("openvino", 0.5, start=10.0))
    engines = EngineSelection(separator, "auto", "cpu")
    assert [engines.select(chunks).engine.name for chunks in (19, 21, 19)] == [
        "torch",
        "openvino",
        "openvino",
    ]


def test_no_more_threads_are_taken_than_allowed():
    separator = make_family("unet-tdc")
    calibrate(separator, trial("openvino", 0.1, threads=torch.get_num_threads() + 1))
    assert select(separator).engine.name == "torch"


def test_what_was_asked_for_is_taken_whatever_was_measured():
    separator = make_family("unet-tdc")
    calibrate(separator, trial("openvino", 0.5))
    assert select(separator, name="onnxruntime").engine.name == "onnxruntime"
    assert select(separator, name="torch").engine.name == "torch"


def test_each_part_of_an_ensemble_has_the_engine_that_it_would_have_alone():
    parts = [make_family("unet-tdc"), make_family("unet-tfc")]
    calibrate(parts[1], trial("openvino", 0.5))
    engine = select(Ensemble(parts)).engine
    assert [engine.part(place).name for place in (0, 1)] == ["torch", "openvino"]
    assert engine.name == "torch, openvino"
    assert select(Ensemble(parts), name="torch").engine.name == "torch"


def test_separators_without_a_network_have_no_choice():
    assert select(HPSS(sample_rate=8000, channels=1)).engine.name == "torch"


def test_a_wrong_device_is_refused_at_once():
    with pytest.raises(UsageError, match="cuda:77"):
        EngineSelection(HPSS(sample_rate=8000, channels=1), "auto", "cuda:77")


def test_a_calibration_is_that_of_the_weights():
    separator = make_family("unet-tdc")
    calibrate(separator, trial("openvino", 0.5))
    assert load_calibration(separator) == load_calibration(make_family("unet-tdc"))
    assert load_calibration(make_family("unet-tfc")) is None
    with torch.no_grad():
        separator.network.exit.bias.add_(1)
    assert load_calibration(separator) is None


def test_a_calibration_takes_the_place_of_an_earlier_one(home):
    separator = make_family("unet-tdc")
    for chunk in (0.5, 0.25):
        calibrate(separator, trial("openvino", chunk))
    assert [path.name for path in home.glob("calibrations/*")] == [calibration_path(separator).name]
    assert load_calibration(separator).fastest().chunk == 0.25


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("engine", "magic"),
        ("chunk", math.nan),
        ("chunk", "1"),
        ("start", -1.0),
        ("threads", 0),
        ("difference", "x"),
        ("deviation", "x"),
        ("precision", "float8"),
    ],
)
def test_a_calibration_that_nobody_has_measured_is_none(name, value):
    separator = make_family("unet-tdc")
    calibrate(separator)
    path = calibration_path(separator)
    values = json.loads(path.read_text(encoding="utf-8"))
    values["trials"][0][name] = value
    path.write_text(json.dumps(values), encoding="utf-8")
    assert load_calibration(separator) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"trials": [], "failures": []}', '{"trials": [{"x": 1}]}', "\0\0\0"],
)
def test_a_damaged_calibration_is_none(content):
    separator = make_family("unet-tdc")
    calibrate(separator)
    calibration_path(separator).write_text(content, encoding="utf-8")
    assert load_calibration(separator) is None
    assert select(separator).engine.name == "torch"
