import json
import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile
import torch
import yaml

from published import published_state
from published_open_unmix import STEMS, open_unmix_state
from soloist.files import sha256_of
from soloist.zoo.cards import TASKS
from soloist.zoo.speeds import save_speed


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SOLOIST_OFFLINE", raising=False)
    return tmp_path / "home"


FIGURE = {
    "dataset": "some songs",
    "metric": "SDR (dB)",
    "target": "vocals",
    "value": 9.5,
    "measured_by": "a friend",
}


def write_card(home, **values):
    """Put a model without weights into the models folder."""
    card = {"name": "mine", "system": "HPSS", "title": "Mine", "sources": ["harmonic", "percussive"]}
    config = {"class_path": "soloist.separators.HPSS", "init_args": {}}
    path = home / "models" / "mine" / "card.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({**card, "config": config, **values}))


@pytest.fixture
def run(home, soloist):
    """Runs `soloist models ...`."""
    return partial(soloist, "models")


def refused(result, *told, code=1):
    assert result.code == code, result
    assert result.out == ""
    (line,) = result.err.strip().splitlines()
    assert all(text in line for text in told), line


def test_the_list_has_a_line_for_each_model_when_it_is_piped(run):
    result = run()
    assert result.code == 0
    heading, *lines = result.out.splitlines()
    headings = ["name", "task", "system", "sources", "rate", "parameters", "size", "speed", "licence"]
    headings += ["quality", "on disk"]
    assert re.split(r"\s{2,}", heading.strip()) == headings
    by_name = {line.split()[0]: line for line in lines}
    assert by_name["hpss"].split()[-1] == "yes"
    for text in ("talkers", "8 kHz", "5.02 M", "20 MB", "cost 3.7", "Zenodo", "17.3 SI-SDRi (dB)", "no"):
        assert text in by_name["sudormrf-u16-wsj0"]
    assert "SDR of whole songs (dB), Multisong (mvsep.com), by ZFTurbo (MSST)" in by_name["htdemucs"]


def test_the_list_is_by_task_and_says_what_was_trained_on(run, home):
    write_card(home, task="vocals", quality=[{**FIGURE, "trained_on_test": True}])
    lines = run().out.splitlines()[1:]
    tasks = [re.split(r"\s{2,}", line)[1] for line in lines]
    assert list(dict.fromkeys(tasks)) == list(TASKS)
    assert tasks == sorted(tasks, key=list(TASKS).index)
    mine = next(line for line in lines if line.startswith("mine "))
    assert "vocals 9.5 SDR (dB), some songs, by a friend, trained on it" in mine


def test_a_measured_speed_stands_in_place_of_the_cost(run, home):
    save_speed("htdemucs", 3.14159)
    line = next(line for line in run().out.splitlines() if line.startswith("htdemucs "))
    assert "3.14 x real time" in line
    assert "cost" not in line


def test_six_models_are_recommended(run):
    heading, *lines = run("recommend").out.splitlines()
    assert heading.split() == ["for", "model", "download", "speed", "licence"]
    assert len(lines) == 6
    assert re.split(r"\s{2,}", lines[1].strip()) == ["good stems", "htdemucs", "84 MB", "cost 15.7", "MIT"]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("spleeter:2stems", "spleeter-2stems"),
        ("htdemucs_ft.yaml", "htdemucs_ft"),
        ("v4 | htdemucs_6s", "htdemucs_6s"),
        ("adefossez/HTDemucs", "htdemucs"),
        ("HTDemucs", "htdemucs"),
    ],
)
def test_names_of_other_programs_are_known(run, alias, name):
    assert json.loads(run("show", alias, "--json").out)["name"] == name


def test_no_name_is_broken_in_a_narrow_terminal(run, monkeypatch):
    for name, value in {"COLUMNS": "100", "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    assert "sudormrf-groupcomm-u8-wsj0" in run().out


def test_the_list_as_json_says_everything(run):
    cards = {card["name"]: card for card in json.loads(run("--json").out)}
    card = cards["tdc17-vocals-1"]
    assert card["sources"] == ["vocals"]
    assert (card["sample_rate"], card["channels"], card["parameters"]) == (44100, 2, 535924)
    assert (card["on_disk"], card["folder"]) == (False, None)
    assert card["files"][0]["size"] == 2289554
    assert cards["hpss"]["on_disk"]
    assert len({frozenset(card) for card in cards.values()}) == 1


def test_listing_needs_no_torch(home, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')")
    command = [sys.executable, "-m", "soloist.cli.main", "models"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0


def test_show_prints_the_card(run):
    card = yaml.safe_load(run("show", "repet-sim").out)
    assert card["system"] == "REPET-SIM"
    assert card["on_disk"] is True
    assert json.loads(run("show", "repet-sim", "--json").out)["citation"] == card["citation"]


def test_an_unknown_model_is_refused_with_the_nearest(run):
    refused(run("show", "repet-sin"), "'repet-sin'", "did you mean 'repet-sim'")
    refused(run("path", "nothing"), "'nothing'")


def test_what_has_no_folder_says_why(run):
    refused(run("path", "hpss"), "hpss has no folder", "no weights")
    refused(run("path", "tdc17-vocals-1"), "soloist models download tdc17-vocals-1")
    refused(run("remove", "hpss"), "nothing to remove")
    refused(run("download", "hpss"), "nothing to download")


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "talkers.pt"
    torch.save(published_state(), path)
    return path


def test_import_path_and_remove(run, home, checkpoint):
    imported = run("import", checkpoint)
    assert imported.code == 0, imported.err
    assert imported.out.strip() == str(home / "models" / "talkers")
    assert run("path", "talkers").out == imported.out
    assert "\ntalkers " in run().out
    refused(run("import", checkpoint), "already")
    assert run("import", checkpoint, "--overwrite").code == 0
    assert "removed" in run("remove", "talkers").out
    assert list((home / "models").iterdir()) == []


@pytest.fixture
def stems(tmp_path):
    folder = tmp_path / "four"
    folder.mkdir()
    for seed, source in enumerate(STEMS):
        state = open_unmix_state(hidden=4, num_bins=65, input_bins=40, layers=1, seed=seed)
        torch.save(state, folder / f"{source}.pth")
    return [folder / f"{source}.pth" for source in STEMS]


def test_files_of_several_sources_are_one_model_that_separates(run, soloist, home, stems, tmp_path):
    imported = run("import", *stems)
    assert imported.out.strip() == str(home / "models" / "four"), imported.err
    song = 0.1 * np.random.default_rng(0).standard_normal((44100, 2))
    soundfile.write(tmp_path / "song.wav", song, 44100, subtype="FLOAT")
    result = soloist("separate", tmp_path / "song.wav", "-m", "four", "-o", tmp_path / "out")
    assert result.code == 0, result.err
    written = {path.stem: path for path in (tmp_path / "out").rglob("*.wav")}
    assert {name for name in written for stem in STEMS if stem in name} == set(written)
    assert len(written) == len(STEMS)
    total = sum(soundfile.read(path)[0] for path in written.values())
    assert np.abs(total - song).max() < 1e-3


def test_a_folder_among_checkpoint_files_is_refused(run, stems):
    refused(run("import", stems[0], stems[0].parent), "is a folder", code=2)


def test_import_to_a_folder_of_the_users_own(run, home, checkpoint, tmp_path):
    result = run("import", checkpoint, "-o", tmp_path / "here", "--name", "mine")
    assert result.out.strip() == str(tmp_path / "here")
    assert yaml.safe_load((tmp_path / "here" / "card.yaml").read_text())["name"] == "mine"
    assert not home.exists()


def test_the_published_file_becomes_the_known_model(run, home, shared):
    result = run("import", shared / "weights" / "cac_tdc_17_vocals_top2.pt")
    assert result.out.strip() == str(home / "models" / "tdc17-vocals-2")
    assert json.loads(run("show", "tdc17-vocals-2", "--json").out)["on_disk"]


def test_download_says_where_it_went_and_what_it_trusted(run, home, checkpoint, monkeypatch):
    handler = partial(SimpleHTTPRequestHandler, directory=str(checkpoint.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        card = {
            "name": "talkers",
            "system": "SuDoRM-RF",
            "title": "Two talkers",
            "sources": ["speaker1", "speaker2"],
            "files": [{"filename": "talkers.pt", "url": f"http://127.0.0.1:{server.server_port}/talkers.pt"}],
        }
        folder = home / "models" / "talkers"
        folder.mkdir(parents=True)
        (folder / "card.yaml").write_text(yaml.safe_dump(card))
        result = run("download", "talkers")
        server.shutdown()
    assert result.code == 0, result.err
    assert result.out.strip() == str(folder)
    first, *_ = result.err.splitlines()
    assert first == "talkers (size unknown, licence: not stated)"
    assert "trusted from now on" in result.err
    assert (folder / "model.safetensors").is_file()


def test_a_licence_that_forbids_commercial_use_is_to_be_accepted(run, home, monkeypatch):
    licence = "CC BY-NC-SA 4.0 (not for commercial use)"
    refused(run("download", "umxl"), f"umxl forbids commercial use ({licence})", "--accept-licence", code=2)
    monkeypatch.setenv("SOLOIST_OFFLINE", "1")
    assert "forbids downloads" in run("download", "umxl", "--accept-licence").err


def test_offline_nothing_is_downloaded(run, home, monkeypatch):
    monkeypatch.setenv("SOLOIST_OFFLINE", "0")
    refused(run("download", "umxhq", "--offline"), "--offline", "forbids downloads", "zenodo.org")
    assert not home.exists()


def test_a_link_with_a_link_to_its_settings_is_imported(run, home, shared, monkeypatch):
    folder = shared / "reference" / "roformer" / "checkpoint_forms"
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        result = run("import", f"{root}/plain.ckpt", "--config", f"{root}/config.yaml", "--name", "mine")
        server.shutdown()
    assert result.code == 0, result.err
    assert result.out.strip() == str(home / "models" / "mine")
    assert f"plain.ckpt: 0.1 MB, sha256 {sha256_of(folder / 'plain.ckpt')}" in result.err


def test_a_file_that_cannot_be_imported_is_named_in_one_line(run, home, tmp_path):
    text, unknown = tmp_path / "notes.txt", tmp_path / "unknown.pt"
    text.write_text("not weights")
    torch.save({"embedding.weight": torch.zeros(2, 3)}, unknown)
    refused(run("import", text), "notes.txt is not a PyTorch checkpoint")
    refused(run("import", unknown), "no importer recognises", "unknown.pt")
    refused(run("import", tmp_path / "gone.pt"), "no checkpoint file", "gone.pt")
    refused(run("import", unknown, "--name", "../evil"), "cannot name a model", code=2)
    assert not home.exists()
