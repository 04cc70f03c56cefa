"""`examples/service.py` as a client sees it."""

from __future__ import annotations

import ast
import importlib.util
import io

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

RATE = 8000
pytestmark = pytest.mark.slow


def test_it_is_short(repository):
    tree = ast.parse((repository / "examples" / "service.py").read_text(encoding="utf-8"))
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, (ast.expr, ast.stmt))}
    assert len(lines) <= 40


@pytest.fixture(scope="module")
def service(repository):
    spec = importlib.util.spec_from_file_location("service", repository / "examples" / "service.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client(service):
    with TestClient(service.app) as client:
        yield client


@pytest.fixture(scope="module")
def recording():
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(0).standard_normal((RATE, 2)), RATE, format="FLAC")
    return file.getvalue()


def test_a_recording_comes_back_as_a_stem(client, recording):
    answer = client.post("/stems/harmonic?model=hpss", content=recording)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/flac"
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert (samples.shape, rate) == ((RATE, 2), RATE)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("/stems/vocals?model=hpss", None, "no stem 'vocals'"),
        ("/stems/vocals?model=nothing", None, "no model is named 'nothing'"),
        ("/stems/harmonic?model=hpss", b"no audio" * 100, "the encoded audio"),
        ("/stems/harmonic?model=hpss", b"", "empty"),
    ],
)
def test_what_cannot_be_separated_is_answered_by_name(client, recording, path, content, message):
    answer = client.post(path, content=recording if content is None else content)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


def test_an_upload_that_is_too_large_is_refused(client, service, recording, monkeypatch):
    monkeypatch.setattr(service, "MOST_BYTES", 1000)
    assert client.post("/stems/harmonic?model=hpss", content=recording).status_code == 413
