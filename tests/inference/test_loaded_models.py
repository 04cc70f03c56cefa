"""Models stay in memory for the next call: each once, the last used, as long as their files do not change."""

from __future__ import annotations

import gc
import shutil
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import soloist
from soloist.inference.loaded_models import ModelCache, load_model
from soloist.inference.stem_selection import StemSelection
from soloist.zoo.cards import find

MODEL = "tiny-sudormrf-digits"


@pytest.fixture(autouse=True)
def _none_before():
    soloist.clear()


@pytest.fixture(scope="module")
def loaded():
    return get()


def get(model=MODEL, stems=(), engine="auto", **overrides):
    return load_model(model, StemSelection(stems), engine=engine, device="cpu", **overrides)


def test_the_second_call_takes_the_model_of_the_first():
    assert get() is get()
    kept = weakref.ref(get().separator)
    soloist.separate(np.ones((1, 800)), 8000, model=MODEL)
    assert get().separator is kept()


def test_another_request_is_another_model():
    models = [get(), get(engine="torch"), get(stems=("talker1",)), get("hpss"), get("hpss", sample_rate=8000)]
    assert len({id(model) for model in models}) == 5


def test_clear_gives_the_memory_back():
    kept = weakref.ref(get().separator)
    soloist.clear()
    gc.collect()
    assert kept() is None


def test_a_model_whose_files_change_is_loaded_again(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(find(MODEL).folder, folder)
    before = get(folder)
    assert get(folder) is before
    card = folder / "card.yaml"
    card.write_text(card.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert get(folder) is not before


def test_the_size_is_that_of_the_weights_twice(loaded):
    weights = sum(parameter.nbytes for parameter in soloist.load(MODEL).parameters())
    assert 2 * weights <= loaded.size <= 2.2 * weights


def test_the_memory_is_bounded_and_the_last_used_stay(loaded):
    cache = ModelCache(most_bytes=3 * loaded.size)
    models = {name: replace(loaded, name=name) for name in "abcd"}
    for name in "abc":
        cache.get(name, lambda name=name: models[name])
    cache.get("a", pytest.fail)
    cache.get("d", lambda: models["d"])
    assert len(cache) == 3
    for name in "acd":
        assert cache.get(name, pytest.fail) is models[name]
    assert len(ModelCache(most_bytes=1)) == 0
    alone = ModelCache(most_bytes=1)
    for name in "ab":
        assert alone.get(name, lambda name=name: models[name]) is models[name]
        assert alone.get(name, pytest.fail) is models[name]
    assert len(alone) == 1


def test_rules_without_weights_are_bounded_in_number(loaded):
    cache = ModelCache(most_bytes=10**15, most_models=2)
    for name in range(5):
        cache.get(name, lambda: loaded)
    assert len(cache) == 2


def test_one_thread_loads_and_the_others_wait(loaded):
    cache, loads, together = ModelCache(), [], threading.Barrier(4)

    def make():
        loads.append(1)
        time.sleep(0.05)
        return loaded

    def ask(_):
        together.wait()
        return cache.get("model", make)

    with ThreadPoolExecutor(4) as threads:
        assert set(map(id, threads.map(ask, range(4)))) == {id(loaded)}
    assert len(loads) == 1


def test_a_failure_is_not_kept(loaded):
    cache = ModelCache()
    with pytest.raises(KeyError):
        cache.get("model", lambda: {}["nothing"])
    assert len(cache) == 0
    assert cache.get("model", lambda: loaded) is loaded


def test_the_number_of_threads_is_that_of_the_user(monkeypatch):
    before = torch.get_num_threads()
    audio = np.ones((1, 800))
    try:
        soloist.separate(audio, 8000, model=MODEL)
        torch.set_num_threads(before + 1)
        soloist.separate(audio, 8000, model=MODEL)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_model_that_is_not_there_is_refused_by_name():
    with pytest.raises(soloist.ModelError, match="htdemucz"):
        soloist.separate(np.ones((1, 800)), 8000, model="htdemucz")
