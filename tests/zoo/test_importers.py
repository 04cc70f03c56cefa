"""Importers are found by the modules of their package."""

from __future__ import annotations

import inspect

import pytest
import torch

from soloist.zoo import importers
from soloist.zoo.importers import Importer, recognize

MINE = """
from soloist.separators import HPSS
from soloist.zoo.importers.importer import ImportedModel, Importer


class MineImporter(Importer):
    def recognize(self, checkpoint):
        if "mine" not in checkpoint.state:
            return None
        config = {"class_path": "soloist.separators.HPSS", "init_args": {}}
        return ImportedModel(HPSS(), config, {"title": f"{checkpoint.folder} {checkpoint.metadata}"})
"""


@pytest.fixture
def with_mine(tmp_path, monkeypatch):
    (tmp_path / "mine_importer.py").write_text(MINE)
    monkeypatch.setattr(importers, "__path__", [*importers.__path__, str(tmp_path)])
    importers.importers.cache_clear()
    yield
    importers.importers.cache_clear()


def test_a_new_importer_is_one_new_file(with_mine, tmp_path):
    found = recognize({"mine": torch.zeros(1)}, tmp_path, {"rate": 8000})
    assert found.card == {"title": f"{tmp_path} {{'rate': 8000}}"}
    assert recognize({"other": torch.zeros(1)}) is None


def test_every_importer_is_found_once():
    kinds = [type(importer) for importer in importers.importers()]
    assert len(kinds) == len(set(kinds)) >= 6
    assert all(issubclass(kind, Importer) and not inspect.isabstract(kind) for kind in kinds)


def test_nothing_is_recognized_in_no_weights():
    assert recognize({}) is None
