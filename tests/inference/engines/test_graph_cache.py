"""A graph of the cache matches its name, or is exported again."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from soloist.inference.engines.graph_cache import cached_graph, fingerprint, graphs_folder


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))


class Maker:
    """Writes the same content at each call, and counts the calls."""

    def __init__(self, content=b"a graph"):
        self.content, self.calls = content, 0

    def __call__(self, path):
        self.calls += 1
        path.write_bytes(self.content)


def test_a_graph_is_made_once():
    maker = Maker()
    assert [cached_graph("key", maker) for _ in range(3)] == 3 * [maker.content]
    assert maker.calls == 1
    assert cached_graph("other", Maker(b"another")) == b"another"


@pytest.mark.parametrize("damage", [b"", b"a gra", b"another graph"])
def test_a_file_that_is_not_what_it_was_is_made_anew(damage):
    maker = Maker()
    cached_graph("key", maker)
    (path,) = graphs_folder().iterdir()
    path.write_bytes(damage)
    assert cached_graph("key", maker) == maker.content
    assert maker.calls == 2
    assert [each.read_bytes() for each in graphs_folder().iterdir()] == [maker.content]


def test_the_graph_of_another_is_none_of_this_whatever_its_name():
    cached_graph("another", Maker(b"another graph"))
    (path,) = graphs_folder().iterdir()
    path.rename(path.with_name(path.name.replace("another", "key")))
    assert cached_graph("key", Maker()) == b"a graph"
    assert [each.read_bytes() for each in graphs_folder().iterdir()] == [b"a graph"]


def test_where_nothing_can_be_kept_graphs_are_made_all_the_same(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "file"))
    maker = Maker()
    assert [cached_graph("key", maker) for _ in range(2)] == 2 * [maker.content]
    assert maker.calls == 2
    assert "graphs cannot be kept" in caplog.text


def test_processes_that_make_and_forget_at_once_do_not_disturb_each_other():
    def use(number):
        key = f"key{number % 90}"
        return cached_graph(key, Maker(key.encode())) == key.encode()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(400)))
    assert all(path.suffix == ".onnx" for path in graphs_folder().iterdir())


def test_a_failure_leaves_nothing_behind():
    def fail(path):
        path.write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cached_graph("key", fail)
    assert list(graphs_folder().iterdir()) == []


def test_the_graphs_that_were_used_last_are_kept():
    for number in range(80):
        cached_graph(f"key{number}", Maker(b"%d" % number))
        for path in graphs_folder().glob(f"key{number}.*"):
            os.utime(path, (number, number))
    kept = sorted(int(path.name.split(".")[0][3:]) for path in graphs_folder().iterdir())
    assert kept[-1] == 79
    assert len(kept) == 64
    assert kept == list(range(16, 80))


def test_a_fingerprint_is_that_of_weights_and_settings():
    def network(slope=0.1, seed=0):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(slope))

    same = fingerprint(network())
    assert same == fingerprint(network())
    assert (
        len({same, fingerprint(network(0.2)), fingerprint(network(seed=1)), fingerprint(network(), 1)}) == 4
    )
