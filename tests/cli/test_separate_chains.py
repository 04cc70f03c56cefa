"""Ensembles, chains and everything but some stems, through the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

from soloist.separators import build_separator
from soloist.zoo import save_model

SOURCES = {
    "singer": ["vocals"],
    "band": ["drums", "bass", "other", "vocals"],
    "kit": ["kick", "snare"],
}
"""Tiny models of our own, each with its sources; the kit is normalised by the level of the whole track."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Model folders of tiny networks, at several rates and channels."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for place, (name, sources) in enumerate(SOURCES.items()):
        bins, channels = 129, 1 + place % 2
        network = {"inputs": channels, "outputs": channels * len(sources), "num_bins": bins, "hidden_size": 8}
        config = {
            "class_path": "soloist.separators.SpectralSeparator",
            "init_args": {
                "sources": sources,
                "sample_rate": (44100, 44100, 32000)[place],
                "channels": channels,
                "normalization": "track" if name == "kit" else "none",
                "representation": "magnitude",
                "mode": "masking",
                "transform": {
                    "class_path": "soloist.transforms.STFT",
                    "init_args": {"n_fft": 256, "hop_length": 128},
                },
                "network": {
                    "class_path": "soloist.networks.RecurrentNetwork",
                    "init_args": {**network, "layers": 1},
                },
            },
        }
        save_model(build_separator(config, name), config, {}, folder / name)
    return folder


@pytest.fixture(scope="module")
def chain(models):
    """Vocals, then drums from what they leave, then a kit from the drums, as a file beside the models."""
    path = models / "stage.yaml"
    path.write_text(
        "title: A test\nsteps:\n"
        "- {model: kit, takes: drums, stems: {kick: kick}, rest: cymbals}\n"
        "- {model: band, takes: instrumental, stems: [drums, bass], rest: others}\n"
        "- {model: singer, rest: instrumental}\n",
        encoding="utf-8",
    )
    return path


def read(folder):
    return {path.stem: soundfile.read(path)[0] for path in folder.glob("*.wav")}


def null(song, stems):
    mixture, _ = soundfile.read(song)
    return 10 * np.log10(np.mean((mixture - sum(stems.values())) ** 2))


def test_the_stems_of_a_chain_add_up_to_the_song(soloist, chain, song, tmp_path):
    result = soloist("separate", song, "--chain", chain, "-o", tmp_path, "--json")
    assert result.code == 0
    report = json.loads(result.out)
    assert report["model"] == "stage"
    stems = read(tmp_path / "stage" / "song")
    assert sorted(stems) == ["bass", "cymbals", "kick", "others", "vocals"]
    assert null(song, stems) < -90
    assert report["null_dbfs"] < -90
    assert all(np.sqrt(np.mean(stem**2)) > 1e-4 for stem in stems.values())


def test_the_stems_of_an_average_add_up_to_the_song(soloist, song, tmp_path):
    assert soloist("separate", song, "-m", "repet,repet-sim", "-o", tmp_path).code == 0
    stems = read(tmp_path / "repet-and-repet-sim" / "song")
    assert sorted(stems) == ["accompaniment", "vocals"]
    assert null(song, stems) < -90
    for member in ("repet", "repet-sim"):
        assert soloist("separate", song, "-m", member, "-o", tmp_path).code == 0
    alone = [read(tmp_path / member / "song")["vocals"] for member in ("repet", "repet-sim")]
    np.testing.assert_allclose(stems["vocals"], np.mean(alone, axis=0), atol=1e-6)


@pytest.mark.slow
def test_one_stem_of_a_chain_is_the_same_alone(soloist, chain, song, tmp_path):
    assert soloist("separate", song, "--chain", chain, "-o", tmp_path / "all").code == 0
    result = soloist("separate", song, "--chain", chain, "-o", tmp_path / "one", "--stems", "bass,kick")
    assert result.code == 0
    whole, some = (read(tmp_path / folder / "stage" / "song") for folder in ("all", "one"))
    assert sorted(some) == ["bass", "kick"]
    for name, stem in some.items():
        np.testing.assert_array_equal(stem, whole[name])


@pytest.mark.slow
def test_a_chain_is_planned(soloist, chain, song, tmp_path):
    result = soloist("separate", song, "--chain", chain, "-o", tmp_path, "--dry-run")
    assert result.code == 0
    assert "singer: mixture -> vocals, instrumental\n" in result.out
    assert "band: instrumental -> drums, bass, others\n" in result.out
    assert "MB of memory" in result.out
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_plan_of_a_chain_names_its_models_for_programs(soloist, chain, song, tmp_path):
    plan = json.loads(soloist("separate", song, "--chain", chain, "-o", tmp_path, "--dry-run", "--json").out)
    assert [model["model"].rpartition("/")[2] for model in plan["models"]] == ["kit", "band", "singer"]
    assert plan["weights_mb"] == pytest.approx(sum(model["weights_mb"] for model in plan["models"]), abs=0.01)
    assert plan["expected_seconds"] > 0


@pytest.mark.slow
def test_another_ensemble_is_another_model_for_finished_stems(soloist, song, tmp_path, models):
    path = models / "pair.yaml"
    options = ("separate", song, "-m", path, "-o", tmp_path, "--duration", 1, "--skip-existing", "--json")

    def skipped(text):
        path.write_text(text, encoding="utf-8")
        result = soloist(*options)
        assert result.code == 0, result.err
        return json.loads(result.out)["skipped"]

    assert not skipped("models: [hpss, two-stage-hpss]")
    assert skipped("models: [hpss, {model: two-stage-hpss, weight: 1}]")
    assert not skipped("models: [hpss, two-stage-hpss]\nmethod: max")
    assert not skipped("models: [hpss, hpss]")


def test_everything_but_some_stems_is_one_file(soloist, models, song, tmp_path):
    folder = tmp_path / "band" / "song"
    assert soloist("separate", song, "-m", models / "band", "-o", tmp_path).code == 0
    whole = read(folder)
    result = soloist("separate", song, "-m", models / "band", "-o", tmp_path, "--without", "drums,bass")
    assert result.code == 0
    mixture, _ = soundfile.read(song)
    expected = mixture - whole["drums"] - whole["bass"]
    assert sorted(path.name for path in folder.glob("no_*")) == ["no_drums_bass.wav"]
    np.testing.assert_allclose(read(folder)["no_drums_bass"], expected, atol=1e-6)


def test_everything_but_a_stem_is_by_the_cheapest_model_on_disk(soloist, models, song, tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    assert soloist("models", "import", models / "band").code == 0
    result = soloist("separate", song, song, "--without", "drums", "-o", tmp_path, "--duration", 1)
    assert result.code == 0
    assert "by band, the cheapest model that knows drums" in result.err
    assert (tmp_path / "band" / "song" / "no_drums.wav").is_file()


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--without", "drums", "--stems", "vocals"], "leave out --stems, --two-stems and --residual", 2),
        (["--without", "drums", "--two-stems", "vocals"], "leave out --stems, --two-stems and --residual", 2),
        (
            ["--without", "drums", "--residual", "-m", "htdemucs"],
            "leave out --stems, --two-stems and --residual",
            2,
        ),
        (["--without", "kazoo"], "no model knows the stem 'kazoo'", 2),
        (["--without", "vocals,piano,speech"], "no single model knows", 2),
        (["--without", ""], "needs the name of a stem", 2),
        (["--without", "kick", "-m", "hpss"], "the model has no stem 'kick'", 2),
        (["--without", "drums"], "is not on disk: soloist models download", 1),
        (["--chain", "karaoke", "-m", "hpss"], "--model and --chain exclude each other", 2),
        (["--chain", "opera"], "there is no chain 'opera'", 2),
        (["--chain", "pyproject.toml"], "pyproject.toml is no chain: it has no steps", 2),
        (["-m", "hpss,nothing"], "no model is named 'nothing'", 1),
        (["-m", "hpss,"], "commas between them", 2),
        (["-m", "hpss,spleeter-2stems"], "soloist models download spleeter-2stems", 1),
    ],
)
def test_what_does_not_go_together_is_one_line(soloist, song, tmp_path, monkeypatch, options, message, code):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    result = soloist("separate", song, "-o", tmp_path, "--dry-run", *options)
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert result.err.count("\n") == 1


@pytest.mark.slow
def test_an_ensemble_is_evaluated_and_exported_as_one_model(soloist, models, tmp_path):
    pytest.importorskip("onnxruntime")
    name = f"{models / 'band'},{models / 'band'}"
    result = soloist("export", name, "--to", "onnx", "-o", tmp_path / "onnx")
    assert result.code == 0, result.err
    assert json.loads((tmp_path / "onnx" / "model.json").read_text())["sources"] == SOURCES["band"]
