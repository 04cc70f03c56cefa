"""Models by the addresses of their files, from a server on this machine."""

from __future__ import annotations

import hashlib

import pytest

from loopback_server import serving
from soloist import zoo
from soloist.errors import ModelError, UsageError


@pytest.fixture
def server(checkpoint, monkeypatch):
    monkeypatch.delenv("SOLOIST_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.content = checkpoint.read_bytes()
        yield server


def test_a_link_becomes_a_model_whose_hash_is_said(server, home):
    seen, lines = [], []
    folder = zoo.import_links(
        [f"{server.root}/some/talkers.pt?download=true"],
        progress=lambda *counts: seen.append(counts),
        notice=lines.append,
    )
    digest = hashlib.sha256(server.content).hexdigest()
    assert folder == home / "models" / "talkers"
    assert zoo.load("talkers").sources == ("speaker1", "speaker2")
    (file,) = zoo.card_of("talkers").files
    assert (file.url, file.sha256) == (f"{server.root}/some/talkers.pt?download=true", digest)
    assert any(digest in line for line in lines)
    assert seen[-1] == (len(server.content), len(server.content))
    assert list((home / "downloads").iterdir()) == []


def test_settings_at_an_address_are_used(server, home, shared):
    forms = shared / "reference" / "roformer" / "checkpoint_forms"
    for name in ("plain.ckpt", "config.yaml"):
        server.contents[f"/{name}"] = (forms / name).read_bytes()
    zoo.import_links([f"{server.root}/plain.ckpt"], name="mine", settings=f"{server.root}/config.yaml")
    assert zoo.load("mine").sources == ("vocals",)
    assert [file.url for file in zoo.card_of("mine").files] == [
        f"{server.root}/plain.ckpt",
        f"{server.root}/config.yaml",
    ]


def test_after_a_failed_import_nothing_is_downloaded_again(server, home, shared):
    forms = shared / "reference" / "roformer" / "checkpoint_forms"
    server.contents["/plain.ckpt"] = (forms / "plain.ckpt").read_bytes()
    with pytest.raises(ModelError, match=r"--config.*the download stays at"):
        zoo.import_links([f"{server.root}/plain.ckpt"])
    (kept,) = (home / "downloads").rglob("*.ckpt")
    zoo.import_links([f"{server.root}/plain.ckpt"], settings=str(forms / "config.yaml"))
    assert server.asked == ["/plain.ckpt"]
    assert not kept.exists()


def test_files_of_one_name_at_two_addresses_are_not_confused(server, home):
    whole, server.content = server.content, b"<html>Please log in</html>"
    with pytest.raises(ModelError, match="not a PyTorch checkpoint"):
        zoo.import_links([f"{server.root}/one/talkers.pt"])
    server.content = whole
    zoo.import_links([f"{server.root}/two/talkers.pt"])
    assert zoo.load("talkers")


@pytest.mark.parametrize("status", [404, 500])
def test_a_refusal_of_the_server_is_named(server, home, status):
    server.status = status
    with pytest.raises(ModelError, match=str(status)):
        zoo.import_links([f"{server.root}/talkers.pt"])
    assert not (home / "models").exists()


def test_offline_a_link_is_not_asked(server, home, monkeypatch):
    monkeypatch.setenv("SOLOIST_OFFLINE", "1")
    with pytest.raises(ModelError, match="--offline"):
        zoo.import_links([f"{server.root}/talkers.pt"])
    assert server.asked == []


def test_other_schemes_are_refused(home):
    with pytest.raises(UsageError, match="no address of http"):
        zoo.import_links(["ftp://127.0.0.1/talkers.pt"])
