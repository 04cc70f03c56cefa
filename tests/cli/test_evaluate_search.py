"""`soloist evaluate --search slicq`: figures that an evaluation repeats, and work that is shared."""

from __future__ import annotations

import multiprocessing

import pytest

from soloist.datasets import find_stem_tracks, synthesize_band
from soloist.errors import AudioError, UsageError
from soloist.evaluation import SearchSettings, SliCQSearch
from soloist.evaluation.transform_search import load_excerpts, oracle_sdr
from stem_corpora import noises, write_track


@pytest.fixture
def corpus(tmp_path):
    """Two short songs at 8 kHz."""
    for seed in range(2):
        write_track(
            tmp_path / f"corpus/song {seed}", synthesize_band(2.0, sample_rate=8000, seed=seed), rate=8000
        )
    return tmp_path / "corpus"


def search(corpus, folder, trials, **options):
    found = SliCQSearch(
        find_stem_tracks(corpus), folder, SearchSettings(trials=trials, seconds=1.0, **options)
    )
    found.run()
    return found


def test_the_best_of_a_search_is_what_the_oracle_gives(soloist, corpus, tmp_path):
    result = soloist(
        *("evaluate", corpus, "--search", "slicq", "--trials", 6, "--seconds", 1),
        *("-o", tmp_path / "s", "--method", "random"),
    )
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    best, figure = lines[1].split()
    assert best.startswith("slicq:")
    assert lines[-1].startswith("stft:4096:1024")
    excerpts = load_excerpts(find_stem_tracks(corpus), 1.0, 16)
    assert oracle_sdr(best, excerpts) == pytest.approx(float(figure), abs=0.006)
    figures = [float(line.split()[1]) for line in lines[1:-1]]
    assert figures == sorted(figures, reverse=True)
    assert f"--transform {best} CORPUS" in result.err


def test_a_search_goes_on_where_it_was(corpus, tmp_path):
    first = search(corpus, tmp_path / "s", 3).tried()
    again = search(corpus, tmp_path / "s", 5).tried()
    assert (len(first), len(again)) == (3, 5)
    assert {tried.transform for tried in first} < {tried.transform for tried in again}
    assert len(search(corpus, tmp_path / "s", 5).tried()) == 5


@pytest.mark.slow
def test_processes_share_a_search(corpus, tmp_path):
    # Forks, which spare the import of PyTorch.
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=search, args=(corpus, tmp_path / "s", 8)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
    assert [process.exitcode for process in processes] == [0, 0]
    tried = search(corpus, tmp_path / "s", 1).tried()
    assert 8 <= len(tried) <= 9
    assert len({one.transform for one in tried}) == len(tried)


def test_what_cannot_be_is_said_and_does_not_stop_the_search(corpus, tmp_path):
    tracks = find_stem_tracks(corpus)
    found = SliCQSearch(tracks, tmp_path / "s", SearchSettings(trials=12, seconds=0.05, method="random"))
    found.run()
    refused = [tried for tried in found.tried() if tried.sdr is None]
    assert refused
    assert all("slice" in tried.reason for tried in refused)


def test_a_folder_holds_the_search_on_one_set_of_excerpts(corpus, tmp_path):
    search(corpus, tmp_path / "s", 1)
    with pytest.raises(UsageError, match="on other excerpts"):
        SliCQSearch(find_stem_tracks(corpus), tmp_path / "s", SearchSettings(seconds=1.5))


def test_silent_stems_do_not_count(tmp_path):
    stems = noises(("vocals", "drums"), seconds=1.0)
    write_track(tmp_path / "song", {**stems, "bass": 0 * stems["drums"]})
    (excerpt,) = load_excerpts(find_stem_tracks(tmp_path), 0.5, 1)
    assert 0 < oracle_sdr("stft:512:128", [excerpt]) < 40


def test_stems_that_do_not_fit_together_are_refused(tmp_path):
    stems = noises(("vocals", "drums"), seconds=1.0)
    stems["drums"] = stems["drums"][:, :-100]
    write_track(tmp_path / "song", stems)
    with pytest.raises(AudioError, match="differ in rate, channels or length"):
        load_excerpts(find_stem_tracks(tmp_path), 5.0, 1)
