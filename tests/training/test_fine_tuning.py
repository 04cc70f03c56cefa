"""Trainings that go on from a model: what is kept, what begins anew, what is frozen, and how it resumes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import yaml

from soloist.errors import ConfigError, UsageError
from soloist.separators import build_separator
from soloist.training import SeparationTask, read_recipe, train
from soloist.training.loop.checkpoints import LAST, read_checkpoint, separator_state
from soloist.training.loop.fine_tuning import begin_from
from soloist.zoo import load, save_model
from toy_separators import masking_config

RATE = 8000


def unmix(*sources: str, rate: int = RATE) -> dict:
    """Open-Unmix with a branch for each source."""
    return masking_config(
        sources,
        rate,
        "soloist.networks.OpenUnmix",
        num_sources=len(sources),
        channels=1,
        num_bins=33,
        num_input_bins=None,
        hidden_size=4,
        layers=1,
    )


def unet(*sources: str, rate: int = RATE) -> dict:
    """U-Net whose last layer has a share for each source."""
    block = {"class_path": "soloist.networks.TDF", "init_args": {"bottleneck_factor": 4}}
    return masking_config(
        sources,
        rate,
        "soloist.networks.UNet",
        input_channels=1,
        output_channels=len(sources),
        internal_channels=2,
        num_blocks=3,
        num_bins=33,
        block=block,
    )


@pytest.fixture
def saved(tmp_path):
    """Save a separator with fresh weights, and give its folder and itself."""

    def save(config: dict) -> tuple[str, torch.nn.Module]:
        separator = build_separator(config, "a test")
        folder = save_model(separator, config, {}, tmp_path / "model")
        return str(folder), load(folder)

    return save


@pytest.mark.parametrize("design", [unmix, unet])
def test_sources_of_the_same_name_sound_as_in_the_model(saved, design):
    folder, model = saved(design("vocals", "drums", "bass"))
    separator = build_separator(design("bass", "vocals"), "a test")
    beginning = begin_from(separator, folder)
    mixture = torch.randn(1, 1, RATE // 2)
    expected = model(mixture)[:, [2, 0]]
    torch.testing.assert_close(separator(mixture), expected)
    assert not beginning.anew
    assert "anew" not in beginning.describe()


@pytest.mark.parametrize("design", [unmix, unet])
def test_a_new_source_begins_anew_and_the_others_are_kept(saved, design):
    folder, model = saved(design("vocals", "drums"))
    separator = build_separator(design("guitar", "drums", "vocals"), "a test")
    fresh = {name: value.clone() for name, value in separator.state_dict().items()}
    beginning = begin_from(separator, folder)
    mixture = torch.randn(1, 1, RATE // 2)
    torch.testing.assert_close(separator(mixture)[:, [2, 1]], model(mixture))
    state = separator.state_dict()
    if design is unmix:
        guitar = [name for name in state if ".0." in name and "network" in name]
        assert set(beginning.anew) == {name for name in guitar if "lists" not in name}
        assert all(torch.equal(state[name], fresh[name]) for name in guitar)
    else:
        assert set(beginning.partly) == {"network.exit.weight", "network.exit.bias"}
        assert torch.equal(state["network.exit.weight"][0], fresh["network.exit.weight"][0])
        assert beginning.describe().endswith(
            "of network.exit.bias, network.exit.weight the part of drums, vocals"
        )


def test_another_rate_another_network_and_another_order_are_refused(saved):
    folder, _ = saved(unet("vocals", "drums"))
    with pytest.raises(UsageError, match=r"is a model for 8000 Hz, .* set separator.sample_rate 8000"):
        begin_from(build_separator(unet("vocals", "drums", rate=16000), "a test"), folder)
    with pytest.raises(ConfigError, match=r"no weight of .* fits"):
        begin_from(build_separator(unmix("vocals", "drums"), "a test"), folder)
    with pytest.raises(ConfigError, match=r"in another order: set sources \[vocals, bass\]"):
        begin_from(build_separator(unet("bass", "vocals"), "a test"), folder)


def test_a_bag_is_gone_on_from_by_one_of_its_models(saved, tmp_path):
    config = unet("vocals", "drums")
    bag = "soloist.separators.CombinedSeparator"
    folder, model = saved({"class_path": bag, "init_args": {"members": [config]}})
    separator = build_separator(config, "a test")
    begin_from(separator, folder)
    mixture = torch.randn(1, 1, RATE // 2)
    torch.testing.assert_close(separator(mixture), model(mixture))

    several = {"class_path": bag, "init_args": {"members": [config] * 2, "weights": [[1, 0], [1, 1]]}}
    files = [{"filename": f"{name}.th", "url": f"https://example.org/{name}.th"} for name in ("one", "two")]
    folder = save_model(build_separator(several, "a test"), several, {"files": files}, tmp_path / "bag")
    told = (
        r"bag is a bag of 2 models \(one for vocals; two\): import one, "
        r"soloist models import https://example.org/one.th, and go on from that"
    )
    with pytest.raises(ConfigError, match=told):
        begin_from(separator, str(folder))
    with pytest.raises(ConfigError, match=f"is several models: go on from one of them, {folder} or"):
        begin_from(separator, f"average:{folder},{tmp_path / 'model'}")


@pytest.fixture
def humming(write_recipe, tmp_path):
    """A run of one epoch, and a recipe that goes on from it with changes."""
    first = read_recipe(write_recipe(trainer={"max_epochs": 1}, ema=None))
    train(first, tmp_path / "first", quiet=True)

    def further(**changes):
        path = write_recipe(**{"from": str(tmp_path / "first"), "ema": None, **changes})
        return read_recipe(path)

    return further


def test_a_training_goes_on_from_a_run(humming, tmp_path):
    lines = []
    recipe = humming(trainer={"max_epochs": 1}, optimizer={"init_args": {"lr": 0.0}})
    train(recipe, tmp_path / "second", quiet=True, tell=lines.append)
    first, second = (load(tmp_path / name).state_dict() for name in ("first", "second"))
    assert all(torch.equal(second[name], value) for name, value in first.items())
    assert lines == [f"from {tmp_path / 'first'}: {len(first)} of {len(first)} weights"]
    card = yaml.safe_load((tmp_path / "second" / "model" / "card.yaml").read_text())
    assert "Its weights began from those of first." in card["notes"]


def test_frozen_parameters_stay_and_others_learn(humming, tmp_path):
    recipe = humming(freeze=[r"^filterbank\.", "norm"], trainer={"max_epochs": 1})
    train(recipe, tmp_path / "second", quiet=True)
    first, second = (load(tmp_path / name).state_dict() for name in ("first", "second"))
    frozen = [name for name in first if name.startswith("filterbank.") or "norm" in name]
    learned = [name for name in first if "bottleneck.weight" in name]
    assert frozen
    assert all(torch.equal(first[name], second[name]) for name in frozen)
    assert learned
    assert not any(torch.equal(first[name], second[name]) for name in learned)


def test_what_was_learned_has_a_lower_rate_than_what_begins_anew(humming):
    recipe = humming()
    wider = replace(recipe, separator=_with_sources(recipe.separator, 3))
    task = SeparationTask(wider)
    groups = {group["lr"]: group["params"] for group in task.configure_optimizers()[0][0].param_groups}
    assert sorted(groups) == [pytest.approx(0.001), 0.01]
    names = {id(parameter): name for name, parameter in task.separator.named_parameters()}
    anew = {names[id(parameter)] for parameter in groups[0.01]}
    assert anew == {*task.beginning.anew, *task.beginning.partly}
    assert "network.mask.weight" in anew


def _with_sources(separator: dict, count: int) -> dict:
    arguments = separator["init_args"]
    bank, network = arguments["filterbank"], arguments["network"]
    return {
        **separator,
        "init_args": {
            **arguments,
            "sources": [f"talker{place + 1}" for place in range(count)],
            "filterbank": {**bank, "init_args": {**bank["init_args"], "num_sources": count}},
            "network": {**network, "init_args": {**network["init_args"], "num_outputs": count}},
        },
    }


def test_adapters_learn_alone_and_are_merged(humming, tmp_path):
    pytest.importorskip("peft")
    recipe = humming(lora={"rank": 2, "layers": "blocks|bottleneck"}, trainer={"max_epochs": 1})
    train(recipe, tmp_path / "second", quiet=True)
    first, second = (load(tmp_path / name).state_dict() for name in ("first", "second"))
    assert first.keys() == second.keys()
    changed = [name for name in first if not torch.equal(first[name], second[name])]
    assert changed
    assert all(name.endswith("weight") and ("blocks" in name or "bottleneck" in name) for name in changed)
    for name in changed:
        change = (second[name] - first[name]).flatten(1)
        assert torch.linalg.matrix_rank(change, atol=1e-5) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"freeze": ["norm"]}, {"lora": {"rank": 2}}])
def test_a_training_that_goes_on_resumes_to_the_bit(humming, tmp_path, changes):
    if "lora" in changes:
        pytest.importorskip("peft")
    recipe = humming(trainer={"max_epochs": 2}, **changes)
    recipe = replace(recipe, data=replace(recipe.data, test={}), separator=_with_sources(recipe.separator, 3))
    shorter = replace(recipe, trainer={**recipe.trainer, "max_epochs": 1})
    train(recipe, tmp_path / "whole", quiet=True)
    train(shorter, tmp_path / "parts", quiet=True)
    # The model is not needed any more.
    (tmp_path / "first").rename(tmp_path / "away")
    train(recipe, tmp_path / "parts", resume=True, quiet=True)
    whole, parts = (separator_state(tmp_path / name / "checkpoints" / LAST) for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert read_checkpoint(tmp_path / "parts" / "checkpoints" / LAST)["anew"]
