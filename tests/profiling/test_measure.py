"""What is measured of every shipped model and every tiny recipe, and that it is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from soloist.errors import OutOfMemoryError, UsageError
from soloist.profiling import ProfileCase, count_operations, measure_separating, measure_training
from soloist.profiling.measure import LONGEST_TRAINED
from soloist.profiling.subjects import load_subject
from soloist.separators import Separator, sudormrf_design
from soloist.training import RECIPES
from soloist.zoo import models

SHORT = 1e-9
FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = sorted(file.stem for file in RECIPES.glob("tiny-*.yaml"))
SHIPPED = [card.name for card in models() if card.shipped or card.config is not None]


class Doubling(Separator):
    """Gives its mixture back, through an intermediate of twice its size; it can be trained."""

    def __init__(self, **options: object) -> None:
        super().__init__(sources=["a"], sample_rate=1000, **options)
        self.gain = torch.nn.Parameter(torch.ones(1))

    @property
    def chunk_length(self) -> int:
        """A second."""
        return 1000

    def estimate(self, mixture: Tensor) -> Tensor:
        """Repeat, and take the first half."""
        return torch.cat([mixture, mixture], dim=-1)[:, None, :, : mixture.shape[-1]] * self.gain


@pytest.fixture
def once(monkeypatch):
    """Times are not what is looked at: one run is enough."""
    monkeypatch.setattr("soloist.resources.timing._LEAST_RUNS", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*TINY, *SHIPPED}))
def test_every_family(name, once):
    subject = load_subject(name)
    case = ProfileCase(1.0)
    separating = measure_separating(subject.separator, case, budget=SHORT)
    assert separating.time.low > 0
    assert separating.memory > 4 * subject.facts.channels * subject.facts.sample_rate
    training = measure_training(subject.separator, case, budget=SHORT)
    if not subject.facts.parameters:
        assert training is None
        return
    # Weights and gradients.
    assert training.memory > 2 * 4 * subject.facts.trainable
    assert training.memory > separating.memory
    assert training.backward.low > 0
    assert separating.operations > subject.facts.sample_rate


@pytest.mark.parametrize("name", ["tiny-sudormrf", "tiny-tfc-tdf", "tiny-umx", "tiny-dual-path"])
def test_what_is_folded_and_fused_counts_like_what_is_not(name, once):
    separator = load_subject(name).separator
    measured = measure_separating(separator, ProfileCase(1.0), budget=SHORT)
    mixture = torch.ones(1, separator.channels, separator.sample_rate)
    with torch.no_grad():
        assert measured.operations == count_operations(lambda: separator(mixture))


def test_the_published_operations(once):
    published = json.loads((FIXTURES / "sudormrf" / "complexity.json").read_text())["models"]
    improved = (model for model in published if model["system"] == "SuDORMRF_improved")
    model = min(improved, key=lambda model: model["flops"]["8000"])
    args = model["args"]
    sizes = {
        "num_filters": args["enc_num_basis"],
        "channels": args["out_channels"],
        "hidden_channels": args["in_channels"],
        "num_blocks": args["num_blocks"],
        "depth": args["upsampling_depth"],
    }
    separator = sudormrf_design("improved", sizes, kernel_size=args["enc_kernel_size"]).build().eval()
    measured = measure_separating(separator, ProfileCase(1.0), budget=SHORT)
    assert measured.operations == model["flops"]["8000"]


def test_long_mixtures_are_cut_into_chunks_in_memory_that_does_not_grow():
    separator = Doubling()
    one, ten, forty = (
        measure_separating(separator, ProfileCase(seconds), budget=SHORT).memory
        for seconds in (1.0, 10.0, 40.0)
    )
    # Of what grows there is the mixture alone.
    assert forty - ten == 4 * 30 * 1000
    assert ten - 4 * 9 * 1000 < 2 * one


def test_a_batch_costs_as_much_more_as_it_is_larger():
    separator = load_subject("tiny-tdc").separator
    one, four = (measure_separating(separator, ProfileCase(1.0, batch), budget=SHORT) for batch in (1, 4))
    assert one.operations == four.operations
    assert 3 < four.memory / one.memory < 4


def test_training_holds_the_mixture_the_intermediates_and_the_gradient():
    training = measure_training(Doubling(), ProfileCase(1.0, 2), budget=SHORT)
    # Mixture, doubled mixture and estimates at least; nothing like ten times as much.
    assert 4 * 4 * 2000 <= training.memory <= 4 * 10 * 2000


def test_the_separator_stays_as_it_is():
    separator = load_subject("tiny-tfc").separator
    before = {name: value.clone() for name, value in separator.state_dict().items()}
    measure_training(separator, ProfileCase(0.5), budget=SHORT)
    measure_separating(separator, ProfileCase(0.5), budget=SHORT)
    assert not separator.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in separator.parameters())
    assert all(torch.equal(value, before[name]) for name, value in separator.state_dict().items())


def test_what_nobody_trains_on_is_not_measured():
    assert measure_training(Doubling(), ProfileCase(LONGEST_TRAINED + 0.1), budget=SHORT) is None
    frozen = Doubling()
    frozen.requires_grad_(False)
    assert measure_training(frozen, ProfileCase(1.0), budget=SHORT) is None


def test_too_little_memory_is_told_in_a_line():
    class Hungry(Doubling):
        def estimate(self, mixture: Tensor) -> Tensor:
            return torch.empty(2**50) * self.gain

    for measure in (measure_separating, measure_training):
        with pytest.raises(OutOfMemoryError, match="out of memory at 2 s, batch 3, torch on cpu"):
            measure(Hungry(), ProfileCase(2.0, 3), budget=SHORT)


def test_other_failures_are_not_taken_for_that():
    class Broken(Doubling):
        def estimate(self, mixture: Tensor) -> Tensor:
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        measure_separating(Broken(), ProfileCase(1.0), budget=SHORT)


@pytest.mark.parametrize(
    ("device", "engine", "told"), [("cuda:99", "torch", "device"), ("cpu", "steam", "engine")]
)
def test_devices_and_engines_that_are_not_there(device, engine, told):
    with pytest.raises(UsageError, match=told):
        measure_separating(Doubling(), ProfileCase(1.0, 1, device, engine), budget=SHORT)


@pytest.mark.slow
def test_another_engine_has_the_same_operations_its_own_time_and_no_training(once):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    separator = load_subject("tiny-sudormrf").separator
    ours, theirs = (ProfileCase(1.0, engine=engine) for engine in ("torch", "openvino"))
    torch_s, openvino_s = (measure_separating(separator, case, budget=SHORT) for case in (ours, theirs))
    assert openvino_s.operations == torch_s.operations
    assert openvino_s.memory is None
    assert openvino_s.time.median > 0
    assert measure_training(separator, theirs, budget=SHORT) is None
