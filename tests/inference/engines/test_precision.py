"""Networks in bfloat16: which layers, how near, and when it is chosen."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

import soloist
from families import FAMILIES, SAMPLE_RATE, make_family
from soloist.errors import UsageError
from soloist.inference import Calibration, Trial, calibration_path, load_calibration, save_calibration
from soloist.inference.engine_benchmark import _Attempt, _compared
from soloist.inference.engine_selection import EngineSelection
from soloist.inference.engines import TorchEngine, make_engine, precisions_of
from soloist.inference.engines.precision import has_bfloat16, set_precision
from soloist.networks import SpectralNetwork, SpleeterUNet
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT
from toy_streams import two_frames

here = pytest.mark.skipif(not has_bfloat16(), reason="the processor has no bfloat16")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))


def trial(engine="torch", chunk=1.0, precision="float32", deviation=-200.0):
    return Trial(engine, 1, 1, chunk, 0.0, 0.0, 100.0, 0.0, precision, deviation)


def select(*trials, precision="auto"):
    separator = make_family("unet-tdc")
    save_calibration(separator, Calibration(trials))
    return EngineSelection(separator, "auto", "cpu", precision).select(100).engine


class Recorder(SpectralNetwork):
    """Two layers, the first of which stays in float32; remembers the precisions that they see and give."""

    full_precision = ("first",)

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(33, 33), torch.nn.Linear(33, 33)

    def forward(self, spectrogram):
        first = self.first(spectrogram.mT)
        second = self.second(first)
        # The engine runs a copy of the network.
        Recorder.seen = (first.dtype, second.dtype)
        return second.mT


@here
def test_only_the_layers_that_bear_it_are_computed_in_bfloat16():
    separator = SpectralSeparator(STFT(64, 16), Recorder(), sources=["it"], sample_rate=8000, channels=1)
    estimates = TorchEngine(separator, "cpu", "bfloat16")(torch.randn(1, 1, 800))
    assert Recorder.seen == (torch.float32, torch.bfloat16)
    assert estimates.dtype == torch.float32
    # The separator itself stays as it is.
    separator(torch.randn(1, 1, 800))
    assert Recorder.seen == (torch.float32, torch.float32)


@here
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_estimates_in_bfloat16_are_near_those_in_float32(family):
    separator = make_family(family)
    mixture = 0.1 * torch.randn(1, 1, SAMPLE_RATE)
    exact = TorchEngine(separator, "cpu")(mixture)
    near = make_engine("torch", separator, "cpu", precision="bfloat16")(mixture)
    assert near.dtype == exact.dtype
    error = (near - exact).norm() / exact.norm()
    assert 1e-5 < error < 0.1


@here
def test_spleeter_does_not_round_the_magnitudes_of_songs():
    network = SpleeterUNet(1, 1, num_bins=33, num_input_bins=32, filters=(4, 4, 8, 8))
    separator = SpectralSeparator(
        STFT(64, 16), network, sources=["it"], sample_rate=8000, channels=1, representation="magnitude"
    ).eval()
    set_precision(separator, "bfloat16")
    seen: list[torch.dtype] = []
    for level in network.branches[0].encoders:
        level.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.no_grad():
        separator(torch.randn(1, 1, 800))
    assert seen == [torch.float32] * 3 + [torch.bfloat16]


@here
@pytest.mark.slow
def test_openvino_computes_in_bfloat16_too():
    separator, mixture = make_family("unet-tdc"), 0.1 * torch.randn(1, 1, SAMPLE_RATE)
    exact = make_engine("openvino", separator)(mixture)
    near = make_engine("openvino", separator, precision="bfloat16")(mixture)
    assert 1e-5 < (near - exact).norm() / exact.norm() < 0.1


@here
@here
def test_steps_are_taken_in_float32_alone():
    assert EngineSelection(two_frames(), "torch", "cpu", "float32").steps() is not None
    assert EngineSelection(two_frames(), "torch", "cpu", "bfloat16").steps() is None


def test_a_faster_precision_is_taken_if_nobody_hears_it():
    fast = trial(chunk=0.5, precision="bfloat16", deviation=-50.0)
    assert select(trial(), fast).precision == "bfloat16"
    assert select(trial(), fast, precision="float32").precision == "float32"


@here
@pytest.mark.parametrize(
    "planted",
    [
        trial(chunk=1.5, precision="bfloat16", deviation=-60.0),
        trial(chunk=0.1, precision="bfloat16", deviation=-44.0),
        trial(chunk=0.1, precision="bfloat16", deviation=math.nan),
    ],
    ids=["slow", "wrong", "not a number"],
)
def test_what_is_slow_or_wrong_is_taken_by_nobody_who_did_not_ask_for_it(planted):
    assert select(trial(), planted).precision == "float32"
    assert select(trial(), planted, precision="bfloat16").precision == "bfloat16"


def test_without_a_calibration_it_is_float32():
    engine = EngineSelection(make_family("unet-tdc"), "auto", "cpu").select(10**6).engine
    assert (engine.name, engine.precision) == ("torch", "float32")


def test_the_difference_is_that_from_the_same_engine_in_float32():
    torch.manual_seed(0)
    music = torch.randn(1, 2, 4000)
    exact = torch.stack([music, 0 * music], dim=1)
    wrong = exact + 10 ** (-40 / 20) * torch.stack([0 * music, music], dim=1)

    def attempt(precision, estimates):
        return _Attempt((trial(precision=precision),), exact, estimates)

    attempts = {
        ("torch", "float32"): attempt("float32", exact),
        ("torch", "bfloat16"): attempt("bfloat16", wrong),
    }
    first, second = _compared(attempts, music)
    assert first.is_equal
    assert second.deviation == pytest.approx(-40, abs=1e-3)
    assert not second.is_equal


def test_a_calibration_from_before_there_were_precisions_is_read():
    separator = make_family("unet-tdc")
    save_calibration(separator, Calibration((trial(),)))
    path = calibration_path(separator)
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["trials"][0]["precision"], values["trials"][0]["deviation"]
    path.write_text(json.dumps(values), encoding="utf-8")
    assert load_calibration(separator).trials == (trial(),)


def test_a_precision_that_cannot_be_is_refused():
    separator = make_family("unet-tdc")
    with pytest.raises(UsageError, match="no precision 'float8'; there are float32, bfloat16, float16"):
        make_engine("torch", separator, "cpu", precision="float8")
    with pytest.raises(UsageError, match="float16 is for GPUs"):
        EngineSelection(separator, "auto", "cpu", "float16")
    assert precisions_of("onnxruntime") == ("float32",)


@here
def test_an_engine_without_bfloat16_says_so():
    with pytest.raises(UsageError, match="onnxruntime computes in float32 only: take --engine torch"):
        make_engine("onnxruntime", make_family("unet-tdc"), precision="bfloat16")


@here
def test_the_report_says_the_precision():
    audio = 0.1 * torch.randn(1, 8000)
    exact = soloist.separate(audio, 8000, model="tiny-sudormrf-digits", engine="torch")
    near = soloist.separate(audio, 8000, model="tiny-sudormrf-digits", precision="bfloat16")
    assert (exact.report.precision, near.report.precision) == ("float32", "bfloat16")
    for name, stem in exact.items():
        assert 0 < abs(near[name] - stem).max() < 0.05 * abs(stem).max()


def test_an_engine_that_runs_in_one_precision_starts_in_another():
    exact = trial(chunk=1.0)
    lower = replace(trial(chunk=0.5, precision="bfloat16", deviation=-60.0), start=20.0)
    known = Calibration((exact, lower))
    assert known.best(10, 1, [("torch", "float32")]) == exact
    assert known.best(10, 1, [("torch", "bfloat16")]) == lower
