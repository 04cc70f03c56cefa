"""Chunks of several files share batches: the samples, the order and the failures of each file alone."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

import soloist
from faults import tree
from soloist.audio import read_audio
from soloist.errors import AudioError, Interrupted
from soloist.inference import StreamSettings, make_engine, separate_stream
from soloist.inference.engine_selection import shares_batches, usual_batch
from soloist.inference.shared_batches import SharedBatches
from soloist.library import EntryWorker, find_entries
from soloist.networks import SpleeterUNet
from soloist.separators import Ensemble, SpectralSeparator
from soloist.transforms import STFT
from toy_separators import Smoother

RATE = 8000


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class Recording:
    """PyTorch's engine, which records the length of each batch and the first sample of its chunks."""

    def __init__(self, separator):
        self.engine, self.batches = make_engine("torch", separator, "cpu"), []
        self.name, self.device, self.precision, self.batch_limit = "torch", "cpu", "float32", None

    def __call__(self, mixture):
        if mixture.abs().max() > 1:
            raise AudioError("too loud")
        self.batches.append(mixture[:, 0, 0].tolist())
        return self.engine(mixture)

    def follow(self, note=None):
        return self.engine.follow(note)


def noise(samples, seed=0, channels=1):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, samples)).astype(np.float32)


def separate(separator, engine, audio, size, ahead=False):
    pairs = list(
        separate_stream(
            separator,
            (audio[:, start : start + 300] for start in range(0, audio.shape[1], 300)),
            separator.sample_rate,
            engine=engine,
            settings=StreamSettings(batch_size=size),
            ahead=ahead,
        )
    )
    mixture, stems = (np.concatenate(each, axis=-1) for each in zip(*pairs, strict=True))
    np.testing.assert_array_equal(mixture, audio)
    return stems


def together(separator, signals, size, engine=None, pause=lambda index: None):
    """Stems of each signal, or its error."""
    engine, batches = engine or Recording(separator), SharedBatches(size)

    def work(given, member):
        index, audio = given
        pause(index)
        try:
            return separate(separator, member.share(engine), audio, size, ahead=index % 2 == 1)
        except AudioError as error:
            return error

    with closing(batches.run(enumerate(signals), work)) as found:
        return list(found)


@given(
    lengths=st.lists(st.integers(1, 1500), max_size=9),
    size=st.integers(2, 5),
    channels=st.integers(1, 2),
    seed=st.integers(0, 9),
)
def test_lengths_order_and_sums_are_kept_and_batches_do_not_depend_on_time(lengths, size, channels, seed):
    separator, pauses = Smoother(reach=3, channels=channels), np.random.default_rng(seed)
    signals = [noise(samples, index, channels) for index, samples in enumerate(lengths)]
    alone = [separate(separator, make_engine("torch", separator, "cpu"), audio, 1) for audio in signals]
    recorders = [Recording(separator), Recording(separator)]
    for recorder in recorders:
        found = together(separator, signals, size, recorder, lambda _: time.sleep(pauses.uniform(0, 0.002)))
        assert len(found) == len(signals)
        for audio, stems, expected in zip(signals, found, alone, strict=True):
            np.testing.assert_allclose(stems, expected, rtol=0, atol=1e-6)
            np.testing.assert_allclose(stems.sum(axis=0), audio, rtol=0, atol=1e-6)
        assert max(map(len, recorder.batches), default=0) <= size
    assert recorders[0].batches == recorders[1].batches


def test_short_files_fill_a_batch_and_of_long_ones_two_are_under_way():
    separator = Smoother()
    recorder = Recording(separator)
    together(separator, [noise(200, seed) for seed in range(10)], 4, recorder)
    assert [len(batch) for batch in recorder.batches] == [4, 4, 2]
    under_way, most = set(), []

    def work(index, member):
        under_way.add(index)
        most.append(len(under_way))
        separate(separator, member.share(recorder), noise(3000, index), 4)
        under_way.remove(index)

    list(SharedBatches(4).run(range(6), work))
    assert max(most) <= 3  # one more where the last chunks of two files leave room


def test_partitions_share_batches_and_stateful_or_composite_separators_do_not():
    network = SpleeterUNet(num_bins=33, num_input_bins=20, num_frames=8, filters=(3, 4, 5))
    separator = SpectralSeparator(
        STFT(64, 16, extent="full"),
        network,
        sources=["a", "b"],
        sample_rate=RATE,
        representation="magnitude",
        mode="masking",
        chunk_frames=8,
        partitioned=True,
    ).eval()
    signals = [noise(samples, samples, 2) for samples in (50, 900, 300)]
    engine, seen = make_engine("torch", separator, "cpu"), []
    follow = engine.follow

    def recorded(note=None):
        estimate = follow(note)
        return lambda mixture: (seen.append(len(mixture)), estimate(mixture))[1]

    engine.follow = recorded
    found = together(separator, signals, 3, engine)
    for audio, stems in zip(signals, found, strict=True):
        np.testing.assert_allclose(stems, separate(separator, engine, audio, 1), rtol=0, atol=1e-6)
    assert 3 in seen
    assert shares_batches(separator)
    assert [usual_batch(separator, device) for device in ("cpu", "cuda", "cuda:1")] == [1, 4, 4]
    assert usual_batch(soloist.load("tiny-deep-clustering"), "cuda") == 1
    assert not shares_batches(Ensemble([Smoother(), Smoother()]))
    assert not shares_batches(soloist.load("tiny-deep-clustering"))


def test_an_error_is_that_of_the_file_whose_chunk_has_it():
    separator = Smoother()
    signals = [noise(700, 1), 9 * noise(700, 2), noise(700, 3)]
    first, error, last = together(separator, signals, 4)
    assert str(error) == "too loud"
    for audio, stems in ((signals[0], first), (signals[2], last)):
        np.testing.assert_allclose(stems.sum(axis=0), audio, rtol=0, atol=1e-6)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_ends_all_files(error):
    separator = Smoother()

    class Failing(Recording):
        def __call__(self, mixture):
            if len(self.batches) == 2:
                raise error("now")
            return super().__call__(mixture)

    ended, engine = [], Failing(separator)

    def work(index, member):
        try:
            separate(separator, member.share(engine), noise(2000, index), 2)
        finally:
            ended.append(index)

    with pytest.raises(error):
        list(SharedBatches(2).run(range(8), work))
    assert 2 <= len(ended) <= 4


@pytest.fixture
def songs(tmp_path):
    """Five recordings of 8 kHz, of which one is none."""
    for index, samples in enumerate((900, 20_000, 4000, 0, 9000)):
        soundfile.write(tmp_path / f"s{index}.wav", noise(samples, index).T, RATE)
    (tmp_path / "s3.wav").write_bytes(b"RIFF of nothing")
    return sorted(tmp_path.glob("*.wav"))


def settings(folder, size):
    return soloist.FileSettings(folder, stream=StreamSettings(chunk=0.25, batch_size=size))


def wavs(folder):
    return {name: content for name, content in tree(folder).items() if name.endswith(".wav")}


def test_a_batch_of_files_is_that_of_one_after_the_other(songs, tmp_path):
    reports, failures, progress = [], [], []
    result = soloist.Batch("hpss", settings(tmp_path / "together", 4)).run(
        songs, reports.append, lambda *failure: failures.append(failure), progress.append
    )
    soloist.Batch("hpss", settings(tmp_path / "alone", 1)).run(songs)
    assert wavs(tmp_path / "together") == wavs(tmp_path / "alone") != {}
    assert [each.input.name for each in reports] == ["s0.wav", "s1.wav", "s2.wav", "s4.wav"]
    assert (list(result.reports), list(result.failures)) == (reports, failures)
    assert [track.name for track, _ in failures] == ["s3"]
    assert [each.track.name for each in progress if not each.done] == ["s0", "s1", "s2", "s3", "s4"]
    assert progress[-1].batch_done == pytest.approx(progress[-1].batch_total) == pytest.approx(33_900 / RATE)
    entries = find_entries(map(str, songs), "hpss", settings(tmp_path / "list", 4), print)
    outcomes = EntryWorker().run_together(entries, 4)
    assert [each.entry for each in outcomes] == entries
    assert [each.row.state for each in outcomes] == ["done"] * 4 + ["failed"]
    assert {each.together for each in outcomes} == {4, None}
    assert wavs(tmp_path / "list") == wavs(tmp_path / "alone")


def test_what_ends_a_batch_leaves_finished_stems_and_nothing_half_written(songs, tmp_path):
    cancel = threading.Event()
    batch = soloist.Batch("hpss", settings(tmp_path / "stems", 2))
    with pytest.raises(Interrupted):
        batch.run(songs, lambda report: cancel.set(), cancel=cancel)
    names = {name for name in tree(tmp_path / "stems") if not name.endswith((".json", ".lock"))}
    assert names >= {"hpss/s0/harmonic.wav", "hpss/s0/percussive.wav"}
    assert all(name.endswith(".wav") and read_audio(tmp_path / "stems" / name)[0].size for name in names)

    def refuse(progress):
        if progress.done:
            raise ZeroDivisionError(threading.current_thread().name)

    with pytest.raises(ZeroDivisionError, match="MainThread"):
        soloist.Batch("hpss", settings(tmp_path / "none", 2)).run(songs, progress=refuse)
    assert not [name for name in tree(tmp_path / "none") if ".partial" in name]
    assert torch.get_num_threads() == 1
