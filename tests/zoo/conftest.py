"""Fixtures: a home folder for each test, and a published checkpoint."""

from __future__ import annotations

import pytest
import torch

import published


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("SOLOIST_HOME", str(folder))
    return folder


@pytest.fixture
def published_state():
    return published.published_state()


@pytest.fixture
def checkpoint(tmp_path, published_state):
    path = tmp_path / "published.pt"
    torch.save(published_state, path)
    return path
