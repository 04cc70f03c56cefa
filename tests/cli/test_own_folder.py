"""Recipes for folders of one's own, from `init` and from `train --from`, and trainings on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from corpus_trees import write_wsj0_2mix
from soloist.mixing import Mixer
from soloist.training import FAMILIES, read_recipe
from soloist.training.recipe.own_recipe import adapt
from soloist.zoo import load

RATE = 8000


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_songs(root: Path, stems: tuple[str, ...], channels: int = 2, rate: int = RATE) -> None:
    for song in range(5):
        for number, stem in enumerate(stems):
            (root / f"song{song}").mkdir(parents=True, exist_ok=True)
            audio = np.random.default_rng([song, number]).uniform(-0.3, 0.3, (rate, channels))
            soundfile.write(root / f"song{song}" / f"{stem}.wav", audio, rate)


def write_talkers(root: Path) -> None:
    for talker in range(6):
        (root / f"talker{talker}").mkdir(parents=True, exist_ok=True)
        for take in range(4):
            audio = np.random.default_rng([talker, take]).uniform(-0.3, 0.3, 4000 + 900 * talker + 317 * take)
            soundfile.write(root / f"talker{talker}" / f"{talker}{take}.wav", audio, RATE)


SMALL = ("--data.examples_per_epoch=4", "--data.valid_examples=1", "--trainer.max_epochs=1", "-q")
SHORT = (
    "--data.train.duration=0.5",
    "--data.valid.duration=0.5",
    "--data.workers=0",
    "--trainer.accelerator=cpu",
)


def test_a_folder_of_stems_is_described_in_the_recipe(soloist, tmp_path):
    write_songs(tmp_path / "my songs", ("erhu", "pipa"))
    result = soloist("init", "mine", "--root", "my songs")
    assert (result.code, result.out) == (0, "mine.yaml\n")
    assert "5 tracks with stems, 0.00 hours, 8000 Hz, stereo\nstems: erhu, pipa\n" in result.err
    assert "held out, valid: song" in result.err
    recipe = read_recipe("mine.yaml")
    assert recipe.data.root == str(tmp_path / "my songs")
    assert recipe.separator["init_args"]["sources"] == ["erhu", "pipa"]
    assert "# - 5 tracks with stems" in Path("mine.yaml").read_text()


@pytest.mark.slow
def test_a_folder_of_stems_is_trained_on(soloist, tmp_path):
    write_songs(tmp_path / "songs", ("erhu", "pipa"))
    assert soloist("init", "mine", "--root", "songs").code == 0
    trained = soloist("train", "mine.yaml", *SMALL, *SHORT)
    assert trained.code == 0, trained.err
    assert "held out" in trained.out
    assert load("runs/mine").sources == ("erhu", "pipa")


@pytest.mark.slow
def test_a_folder_of_talkers_is_trained_on(soloist, tmp_path):
    write_talkers(tmp_path / "voices")
    assert soloist("init", "mine", "--root", "voices").code == 0
    trained = soloist("train", "mine.yaml", *SMALL, "--data.train.duration=0.5", "--data.test_examples=2")
    assert trained.code == 0, trained.err
    assert not load("runs/mine").ordered


def test_a_root_that_nothing_reads_is_refused_with_the_way_out(soloist, tmp_path):
    write_songs(tmp_path / "songs", ("bass", "vocals"))
    assert soloist("init", "mine", "--family", "tfc-tdf").code == 0
    result = soloist("train", "mine.yaml", "--data.root", "songs")
    assert result.code == 2
    assert result.err.splitlines()[-1] == (
        "soloist: the recipe mine reads nothing from data.root songs: "
        "make one for that folder (soloist init NAME --root songs)"
    )
    assert not Path("runs").exists()


def test_noisy_and_clean_recordings_are_examples_of_both(soloist, tmp_path):
    rng = np.random.default_rng(0)
    noisy = {}
    for name in "abcd":
        clean = rng.uniform(-0.3, 0.3, 6 * RATE)
        noisy[name] = clean + rng.uniform(-0.1, 0.1, len(clean))
        for kind, audio in (("clean", clean), ("noisy", noisy[name])):
            (tmp_path / "pairs" / kind).mkdir(parents=True, exist_ok=True)
            soundfile.write(tmp_path / "pairs" / kind / f"{name}.wav", audio, RATE, subtype="FLOAT")
    assert soloist("init", "mine", "--root", "pairs").code == 0
    recipe = read_recipe("mine.yaml")
    assert recipe.separator["init_args"]["sources"] == ["clean", "rest"]
    example = recipe.build(recipe.data.mixer({"split": "valid", "duration": None}), Mixer).draw(0)
    np.testing.assert_allclose(example.mixture[0], noisy[example.name], atol=1e-6)
    np.testing.assert_allclose(example.references.sum(axis=0), example.mixture, atol=1e-6)
    assert np.abs(example.references[1]).max() < 0.11


def test_mixtures_of_talkers_have_no_order(soloist, tmp_path):
    write_wsj0_2mix(tmp_path / "wsj")
    assert soloist("init", "mine", "--root", "wsj").code == 0
    recipe = read_recipe("mine.yaml")
    arguments = recipe.separator["init_args"]
    assert (arguments["sources"], arguments["ordered"]) == (["s1", "s2"], False)
    assert recipe.loss["class_path"] == "soloist.losses.PermutationInvariant"
    splits = [recipe.data.train["init_args"]["split"], recipe.data.valid["split"]]
    assert [*splits, recipe.data.test["held out"]["split"]] == ["tr", "cv", "tt"]
    recipe.build_separator()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_fits_any_stems(soloist, tmp_path, family):
    write_songs(tmp_path / "songs", ("a", "b", "c"), channels=2, rate=16000)
    assert soloist("init", "mine", "--root", "songs", "--family", family).code == 0
    recipe = read_recipe("mine.yaml")
    separator = recipe.build_separator().eval()
    mixer = recipe.build(recipe.data.train, Mixer)
    example = mixer.draw(0)
    import torch

    estimates = separator(torch.from_numpy(example.mixture[None, :, :8000]))
    assert estimates.shape == (1, 3, 2, 8000)
    assert separator.sample_rate == 16000
    assert separator.ordered


def test_sizes_follow_sources_rate_and_channels():
    config = yaml.safe_load((Path(__file__).parents[2] / "src/soloist/recipes/tiny-tfc-tdf.yaml").read_text())
    arguments = adapt(config["separator"], ["x", "y"], 44100, 2)["init_args"]
    network = arguments["network"]["init_args"]
    assert arguments["transform"]["init_args"] == {"n_fft": 2048, "hop_length": 1024}
    assert (network["input_channels"], network["output_channels"], network["num_bins"]) == (4, 8, 1025)


@pytest.mark.slow
def test_from_a_model_alone_a_recipe_is_written_and_run(soloist, tmp_path):
    write_songs(tmp_path / "songs", ("erhu", "pipa"))
    assert soloist("init", "first", "--root", "songs", "--family", "tdf").code == 0
    assert soloist("train", "first.yaml", *SMALL, *SHORT).code == 0
    result = soloist("train", "--from", "runs/first", "--root", "songs", *SMALL, *SHORT)
    assert result.code == 0, result.err
    recipe = read_recipe("first-songs.yaml")
    assert (recipe.from_, recipe.separator) == ("runs/first", read_recipe("first.yaml").separator)
    assert Path("runs/first-songs/model/card.yaml").is_file()
    again = soloist("train", "--from", "runs/first", "--root", "songs")
    assert again.code == 2
    assert "there is a recipe first-songs.yaml already: soloist train first-songs.yaml" in again.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny-tdf", "--root", "songs"], "--root is for --from without a recipe"),
        (["--from", "no-such-model", "--root", "."], "no-such-model"),
        (["--from", "hpss", "--root", "songs"], "hpss has no weights to go on from"),
        (["tiny-sudormrf", "--from", "small-sudormrf-speech", "--separator.sample_rate=16000"], "8000 Hz"),
        (["tiny-tdf", "--freeze", "[nowhere]"], "no parameter's name has 'nowhere'"),
        (["tiny-tdf", "--freeze", "['(']"], "'(' is not a regular expression"),
        (["tiny-tdf", "--lora.rank", "2"], "lora adapts a model: state from as well"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_written(soloist, tmp_path, arguments, message):
    write_songs(tmp_path / "songs", ("bass", "vocals"))
    result = soloist("train", *arguments)
    assert result.code in (1, 2)
    assert message in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["songs"]
