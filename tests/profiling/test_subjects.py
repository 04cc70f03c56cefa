"""What a name means, and what is known before anything is run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from soloist.errors import ConfigError, ModelError
from soloist.profiling.subjects import algorithmic_latency, load_subject
from soloist.separators import Chunking
from soloist.training import RECIPES, RunFolder
from soloist.zoo import find, load, save_model
from soloist.zoo.cards import WEIGHTS

SHIPPED = "tiny-sudormrf-digits"


@pytest.fixture
def model_folder(tmp_path) -> Path:
    return shutil.copytree(find(SHIPPED).folder, tmp_path / "copy")


def test_a_model_wins_over_a_recipe_of_its_name():
    facts = load_subject(SHIPPED).facts
    assert facts.size == (find(SHIPPED).folder / WEIGHTS).stat().st_size
    assert facts.quality == find(SHIPPED).quality != ()
    assert (facts.model, facts.sample_rate, facts.channels, facts.sources) == (SHIPPED, 8000, 1, 2)


def test_a_recipe_by_its_file_is_untrained():
    recipe, model = load_subject(str(RECIPES / f"{SHIPPED}.yaml")), load_subject(SHIPPED)
    assert recipe.facts.parameters == model.facts.parameters
    assert recipe.facts.quality == ()
    ours, theirs = next(recipe.separator.parameters()), next(model.separator.parameters())
    assert not ours.equal(theirs)
    assert not recipe.separator.training


def test_the_size_of_a_recipe_is_that_of_its_model(tmp_path):
    subject = load_subject("tiny-tdc-rnn")
    config = {"class_path": "soloist.separators.HPSS", "init_args": {}}
    folder = save_model(subject.separator, config, {}, tmp_path / "saved")
    assert subject.facts.size == (folder / WEIGHTS).stat().st_size


def test_folders_of_models_and_of_runs(model_folder, tmp_path):
    assert load_subject(str(model_folder)).facts.size == (model_folder / WEIGHTS).stat().st_size
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    shutil.copytree(model_folder, run.model)
    shutil.copy(RECIPES / f"{SHIPPED}.yaml", run.recipe)
    assert load_subject(str(run.path)).facts.size == (run.model / WEIGHTS).stat().st_size


def test_frozen_parameters_are_no_trainable_ones(monkeypatch):
    everything = load_subject(SHIPPED).facts
    assert everything.parameters == everything.trainable == find(SHIPPED).parameters
    frozen = load(SHIPPED)
    next(frozen.parameters()).requires_grad_(False)
    monkeypatch.setattr("soloist.profiling.subjects.load", lambda model: frozen)
    facts = load_subject(SHIPPED).facts
    assert facts.parameters - facts.trainable == next(frozen.parameters()).numel() > 0


def test_what_needs_no_training_has_no_weights():
    facts = load_subject("two-stage-hpss").facts
    assert (facts.parameters, facts.size) == (0, 0)


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("tiny-sudormrf-digit", ModelError, "did you mean 'tiny-sudormrf-digits'"),
        ("umxhq", ModelError, "soloist models download umxhq"),
        ("missing/folder", ModelError, "missing/folder"),
    ],
)
def test_what_there_is_not(name, error, told):
    with pytest.raises(error, match=told) as caught:
        load_subject(name)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipes(tmp_path):
    checkpoint, recipe = tmp_path / "weights.pt", tmp_path / "wrong.yaml"
    checkpoint.write_bytes(b"")
    recipe.write_text("separator: {}\n")
    with pytest.raises(ModelError, match="soloist models import"):
        load_subject(str(checkpoint))
    with pytest.raises(ConfigError, match=r"wrong\.yaml"):
        load_subject(str(recipe))


def test_latency_is_how_far_a_separator_sees_ahead():
    causal = load_subject("tiny-sudormrf-causal")
    bank = causal.separator.filterbank
    assert causal.facts.latency == bank.kernel_size // 2 / 8000
    assert causal.facts.receptive_field > 10 * causal.facts.latency
    unet = load_subject("tiny-tdc")
    assert unet.facts.latency == unet.facts.receptive_field == unet.separator.transform.n_fft / 8000


def test_where_there_is_no_bound_a_chunk_is_waited_for():
    subject = load_subject(SHIPPED)
    assert subject.facts.receptive_field is None
    assert subject.facts.latency == subject.facts.chunk == Chunking.of(subject.separator).length / 8000
    bounded = load_subject("tiny-tdc").separator
    bounded.normalization = "chunk"
    assert algorithmic_latency(bounded) == Chunking.of(bounded).length / bounded.sample_rate
