"""Ensembles and chains by names and files: what is wrong is said before anything is loaded."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch

from soloist.config import configuration_of
from soloist.errors import ConfigError, ModelError, UsageError
from soloist.separators import Chain, Crossover, Ensemble, build_separator
from soloist.separators.composite_separator import model_hash
from soloist.zoo import card_of, config_of, load, save_model
from soloist.zoo.cards import is_known
from soloist.zoo.composition_files import find_chain, find_composition, preset_names
from soloist.zoo.composition_loading import load_composition
from toy_separators import masking_config

_NETWORK = {"inputs": 1, "outputs": 2, "num_bins": 33, "hidden_size": 4, "layers": 1}


def network(folder, name: str, sources=("vocals", "drums"), rate: int = 8000, seed: int = 0):
    """A model folder of a small network that estimates two sources."""
    config = masking_config(sources, rate, "soloist.networks.RecurrentNetwork", **_NETWORK)
    torch.manual_seed(seed)
    separator = build_separator(config, name)
    return save_model(separator, config, {"licence": {"weights": f"licence of {name}"}}, folder / name)


@pytest.fixture
def written(tmp_path):
    """Write a YAML file and return its path."""

    def write(text: str, name: str = "some.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_names_with_commas_are_an_average():
    ensemble = load("repet,repet-sim", sample_rate=8000, channels=1)
    assert isinstance(ensemble, Ensemble)
    assert (ensemble.sample_rate, ensemble.channels) == (8000, 1)
    assert ensemble.methods == ("average", "average")
    assert load("max: repet, repet-sim").methods == ("max", "max")


def test_the_card_of_a_whole_sums_up_its_models(tmp_path):
    one, two = network(tmp_path, "one"), network(tmp_path, "two", rate=16000)
    card = card_of(f"{one},{two},hpss")
    single = card_of(one)
    assert (card.sample_rate, card.parameters) == (16000, 2 * single.parameters)
    assert card.name == "one-and-two-and-hpss"
    assert card.licence.stated == "licence of one; licence of two; MIT"
    assert card.on_disk
    assert card_of("hpss,repet").sample_rate is None
    loaded = load(f"{one},{two},hpss")
    assert [part.sample_rate for part in loaded.parts] == [8000, 16000, 16000]


def test_an_ensemble_from_a_file_has_weights_and_methods(written):
    path = written("models: [repet, {model: repet-sim, weight: {vocals: 3}}]\nmethod: {accompaniment: max}\n")
    ensemble = load(path)
    assert ensemble.weights == ((1.0, 1.0), (3.0, 0.0))
    assert ensemble.methods == ("average", "max")


def test_a_chain_from_a_file_may_name_models_beside_the_file_and_other_files(written, tmp_path):
    network(tmp_path, "one")
    written("models: [hpss, two-stage-hpss]\nmethod: median\n", "both.yaml")
    path = written(
        "steps:\n- {model: one, stems: {vocals: vocals}, rest: band}\n"
        "- {model: both.yaml, takes: band, stems: [percussive], rest: sustained}\n"
    )
    chain = load(path)
    assert isinstance(chain, Chain)
    assert chain.sources == ("vocals", "percussive", "sustained")
    assert [type(part).__name__ for part in chain.parts] == ["SpectralSeparator", "Ensemble"]
    assert find_composition(path).describe() == [
        "one: mixture -> vocals, band",
        "both: band -> percussive, sustained",
    ]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("steps: [{model: repet, stems: {guitar: g}}]", UsageError, "repet has no stem 'guitar'"),
        ("steps: [{model: repet, takes: vocals}]", UsageError, "wait for each other's stems: repet"),
        (
            "steps: [{model: repet}, {model: repet-sim}]",
            UsageError,
            "'vocals', which is the name of a stem of repet",
        ),
        ("steps: [{model: repet, takes: drums}]", UsageError, "takes 'drums', which no step makes"),
        ("steps: [{model: nothing-such}]", ModelError, "some: no model is named 'nothing-such'"),
        ("steps: [{model: some.yaml}]", ConfigError, "contains itself"),
        ("steps: [{modell: repet}]", ConfigError, "unknown key 'modell'; did you mean 'model'"),
        ("steps: [{takes: vocals}]", ConfigError, "needs a model"),
        ("steps: repet", ConfigError, "must be a list"),
        ("steps: [{model: repet, stems: 3}]", ConfigError, "a step has"),
        ("steps: [{model: repet}]\noutputs: drums", ConfigError, "outputs must be a list"),
        ("steps: [{model: repet}]\noutputs: [drums]", UsageError, "no stem 'drums' to put out"),
        ("steps: [{model: repet}]\nmodels: [repet]", ConfigError, "models, as an ensemble, or steps"),
        ("title: neither", ModelError, "is a file, not a model folder"),
        ("models: []", ConfigError, "must be a list"),
        ("models: [{model: repet, weight: much}]", ConfigError, "weight must be a number"),
        ("models: [{model: repet, weight: {drums: 1}}]", UsageError, "repet has no stem 'drums' to weigh"),
        ("models: [repet]\nmethod: 3", ConfigError, "method must be one of"),
        ("models: [repet]\nmethod: mean", UsageError, "no method 'mean'"),
    ],
)
def test_mistakes_in_files_are_one_line(written, text, error, message):
    path = written(text)
    with pytest.raises(error, match=message) as caught:
        assert card_of(path)
    assert "\n" not in str(caught.value)


def test_what_is_not_on_disk_is_named_with_the_way_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))
    assert not card_of("spleeter-2stems,hpss").on_disk
    with pytest.raises(ModelError) as caught:
        load("spleeter-2stems,hpss,umxhq")
    assert re.fullmatch(
        r"spleeter-2stems-and-hpss-and-umxhq needs spleeter-2stems \(\d+ MB\), umxhq \(\d+ MB\), "
        "not on disk: "
        "soloist models download spleeter-2stems; soloist models download umxhq",
        str(caught.value),
    )


def test_models_of_fixed_rates_keep_them(tmp_path):
    one = network(tmp_path, "one")
    with pytest.raises(UsageError, match="fixed rates"):
        load(f"{one},hpss", sample_rate=16000)


def test_weights_may_be_in_memory_one_model_at_a_time(tmp_path):
    one, two = network(tmp_path, "one"), network(tmp_path, "two", seed=1)
    composition = find_composition(f"{one},{two}")
    apart, together = (load_composition(composition, load, {}, together=each) for each in (False, True))
    assert sorted(apart.stored) == [0, 1]
    assert {tensor.device.type for tensor in apart.parameters()} == {"meta"}
    assert not together.stored
    assert model_hash(apart) == model_hash(together)
    assert apart.load_part(1).state_dict().keys() == together.parts[1].state_dict().keys()


def test_an_ensemble_is_a_configuration_too(tmp_path):
    one, two = network(tmp_path, "one"), network(tmp_path, "two", seed=1)
    name = f"{one},{two}"
    folder = save_model(load(name).fused(), config_of(name), {}, tmp_path / "both")
    mixture = 0.1 * torch.randn(1, 1, 3000)
    with torch.no_grad():
        torch.testing.assert_close(load(folder)(mixture), load(name)(mixture), atol=1e-6, rtol=0)


def test_names_of_models_come_first(tmp_path, monkeypatch, written):
    monkeypatch.chdir(tmp_path)
    config = configuration_of(Crossover)
    save_model(build_separator(config, "karaoke"), config, {}, tmp_path / "karaoke")
    assert find_composition("karaoke") is None
    assert find_composition(find_chain("karaoke")).name == "karaoke"
    assert find_composition("htdemucs_ft.yaml") is None
    with pytest.raises(UsageError, match="there is no chain 'opera': name a YAML file, or band, drums"):
        find_chain("opera")


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_chains_of_models_that_have_cards(name):
    chain = find_composition(find_chain(name))
    assert chain.title
    # What the steps give adds up to what they take.
    assert all(step["rest"] for step in chain.steps)
    if unknown := [leaf for leaf in chain.leaves if not is_known(leaf)]:
        pytest.skip(f"no cards of {', '.join(unknown)}")
    assert len(chain.sources) >= 3


def test_files_are_checked_without_pytorch(written):
    path = written("steps: [{model: repet}]")
    program = (
        "import sys; from soloist.zoo.composition_files import find_composition; "
        "assert find_composition(sys.argv[1]).card; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, path], check=True)
