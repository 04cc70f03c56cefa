"""Models on Hugging Face: pushed to a server on this machine, and loaded from there."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import yaml

import soloist
from soloist import zoo
from soloist.errors import ModelError, UsageError
from soloist.zoo.hub import push_folder, readme_of

MODEL = "tiny-sudormrf-digits"
REPOSITORY = "somebody/digits"


class Hub(BaseHTTPRequestHandler):
    """As much of Hugging Face as a push and a download ask for."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert self.headers["Authorization"] == "Bearer hf_test"
        server = self.server
        if self.path == "/api/repos/create":
            server.created = json.loads(body)
            self.answer({"url": f"{server.root}/{REPOSITORY}"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            files = [
                {**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        else:
            assert self.path.endswith("/commit/main")
            entries = [json.loads(line) for line in body.splitlines()]
            server.message = entries[0]["value"]["summary"]
            for entry in entries[1:]:
                server.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.answer({"commitUrl": f"{server.root}/{REPOSITORY}/commit/{40 * '0'}", "commitOid": 40 * "0"})

    def do_HEAD(self):
        self.give(with_body=False)

    def do_GET(self):
        self.give(with_body=True)

    def give(self, with_body):
        content = self.server.files.get(self.path.rpartition("/")[2])
        if content is None or not self.path.startswith(f"/{REPOSITORY}/resolve/"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hash(content)}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if with_body:
            self.server.asked += 1
            self.wfile.write(content)

    def answer(self, value):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(home, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.root, server.files, server.asked = f"http://127.0.0.1:{server.server_port}", {}, 0
    monkeypatch.setattr(constants, "ENDPOINT", server.root)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.root + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SOLOIST_OFFLINE")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_what_is_pushed_is_loaded_by_anybody(hub, home, monkeypatch):
    folder = zoo.find(MODEL).folder
    assert push_folder(folder, REPOSITORY, private=True) == f"{hub.root}/{REPOSITORY}"
    # Versions of huggingface_hub have two names for it.
    assert hub.created.get("private") is True or hub.created["visibility"] == "private"
    assert hub.message.startswith(MODEL)
    assert set(hub.files) == {"card.yaml", "config.yaml", "model.safetensors", "README.md"}

    separator = soloist.load(f"hf://{REPOSITORY}")
    mixture = torch.randn(1, 1, 4000)
    with torch.no_grad():
        torch.testing.assert_close(separator(mixture), soloist.load(MODEL)(mixture))
    assert zoo.card_of(f"hf://{REPOSITORY}").sources == zoo.find(MODEL).sources
    asked = hub.asked
    monkeypatch.setenv("SOLOIST_OFFLINE", "1")
    stems = soloist.separate(mixture[0], 8000, model=f"hf://{REPOSITORY}")
    assert list(stems) == list(separator.sources)
    assert hub.asked == asked
    assert zoo.find("somebody--digits").on_disk


def test_what_is_no_model_leaves_nothing(hub, home):
    hub.files = {"card.yaml": b"name: digits", "config.yaml": b"class_path: soloist.separators.HPSS"}
    with pytest.raises(
        ModelError, match=r"model.safetensors: .*404 .* soloist models import https://huggingface.co"
    ):
        soloist.load(f"hf://{REPOSITORY}")
    with pytest.raises(ModelError, match="cannot be had as a model folder"):
        soloist.load("hf://somebody/else@v1")
    hub.files |= {"model.safetensors": b"", "config.yaml": b"imports: [{file: ../../evil.py}]"}
    with pytest.raises(ModelError, match="lies outside its model folder"):
        soloist.load(f"hf://{REPOSITORY}")
    with pytest.raises(UsageError, match="must be hf://USER/MODEL"):
        soloist.load("hf://somebody")
    hub.server_close()
    with pytest.raises(ModelError, match="Hugging Face refuses"):
        push_folder(zoo.find(MODEL).folder, REPOSITORY)
    assert not (home / "models").exists()


def test_the_readme_says_what_the_card_says():
    card = zoo.find("umxl")
    _, head, body = readme_of(card, REPOSITORY).split("---\n", 2)
    assert yaml.safe_load(head)["license"] == "cc-by-nc-sa-4.0"
    assert f"soloist separate -m hf://{REPOSITORY} song.mp3" in body
    assert f"| {card.quality[0].target} | {card.quality[0].value:g}" in body
    assert card.citation in body
