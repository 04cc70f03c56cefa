"""A live session: the delay, the mix, the files, late blocks, and ends of all kinds."""

from __future__ import annotations

import time

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from families import make_family
from soloist.audio import StemWriter, WriteOptions
from soloist.live import LiveSession, Punctuality
from soloist.separators import Denoiser
from toy_streams import TwoFrames, stem_stream, two_frames

RATE = 8000


class Blocks:
    """Input of blocks that are there, or come one by one in real time."""

    dropped = 0

    def __init__(self, audio, length, *, paced=False):
        self.sample_rate, self.channels = RATE, len(audio)
        self._audio, self._length, self._paced = audio, length, paced
        self._position, self._begun, self.waited = 0, time.monotonic(), False

    def read(self):
        block = self._audio[:, self._position : self._position + self._length]
        self._position += self._length
        left = self._begun + self._position / RATE - time.monotonic()
        self.waited = self._paced and left > 0
        if self.waited:
            time.sleep(left)
        return block if block.size else None

    def close(self):
        pass


class Heard:
    """Output that keeps what is heard."""

    paces, dropped = False, 0

    def __init__(self):
        self.blocks = []

    def write(self, block):
        self.blocks.append(block)

    def close(self):
        pass


def noise(channels, samples):
    return (0.1 * np.random.default_rng(samples).standard_normal((channels, samples))).astype(np.float32)


def run(session, audio, length=160, *, paced=False):
    heard = Heard()
    session.run(Blocks(audio, length, paced=paced), heard)
    return np.concatenate(heard.blocks, axis=1)


@pytest.mark.parametrize("latency", [None, 0.1])
def test_the_output_is_the_mix_of_the_stems_after_the_delay(latency):
    separator, audio = two_frames(), noise(1, 1777)
    session = LiveSession(stem_stream(separator, RATE, 1, latency=latency), {"first": 0, "second": -20})
    mixed = run(session, audio)
    with torch.no_grad():
        first, second = separator(torch.from_numpy(audio)[None])[0].numpy()
    assert session.delay == (319 if latency is None else 799)
    assert mixed.shape == (1, 1777 + session.delay)
    assert not mixed[:, : session.delay].any()
    np.testing.assert_allclose(mixed[:, session.delay :], first + 0.1 * second, atol=1e-6)


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_the_delay_by_correlation_is_the_declared_one(rate):
    # A denoiser whose network passes everything: what comes out is the input, later.
    denoiser = Denoiser(two_frames(), sample_rate=rate)
    nn.init.zeros_(denoiser.separator.network.before.weight)
    for layer, bias in ((denoiser.separator.network.now, 1.0), (denoiser.separator.network.before, 0.0)):
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, bias)
    audio = noise(1, rate // 2)
    session = LiveSession(stem_stream(denoiser, rate, 1), {"first": 0})
    mixed = run(session, audio, length=100)
    correlation = np.fft.irfft(
        np.fft.rfft(mixed[0], 2 * mixed.size) * np.conj(np.fft.rfft(audio[0], 2 * mixed.size))
    )
    assert int(correlation.argmax()) == session.delay


def test_all_stems_are_written_aligned_with_the_input(tmp_path):
    separator, audio = two_frames(channels=2), noise(2, 1000)
    stream = stem_stream(separator, RATE, 2, residual=True)
    paths = {name: tmp_path / f"{name}.wav" for name in stream.stems}
    with StemWriter(paths, RATE, 2, WriteOptions()) as files:
        run(LiveSession(stream, {}, files), audio)
    stems = [soundfile.read(path)[0].T for path in paths.values()]
    assert len(stems) == 3
    np.testing.assert_allclose(sum(stems), audio, atol=1e-6)


def test_ctrl_c_and_a_closed_output_leave_whole_files(tmp_path):
    class Interrupted(Blocks):
        def read(self):
            if self._position >= 800:
                raise KeyboardInterrupt
            return super().read()

    class Closed(Heard):
        def write(self, block):
            if len(self.blocks) == 4:
                raise BrokenPipeError
            super().write(block)

    def session(folder, source, sink):
        stream = stem_stream(two_frames(), RATE, 1)
        paths = {name: tmp_path / folder / f"{name}.wav" for name in stream.stems}
        with StemWriter(paths, RATE, 1, WriteOptions()) as files:
            LiveSession(stream, {}, files).run(source, sink)

    session("interrupted", Interrupted(noise(1, 2000), 160), Heard())
    assert soundfile.info(tmp_path / "interrupted" / "first.wav").frames == 800
    with pytest.raises(BrokenPipeError):
        session("closed", Blocks(noise(1, 2000), 160), Closed())
    assert 800 - 319 <= soundfile.info(tmp_path / "closed" / "second.wav").frames <= 800


def test_late_blocks_are_counted():
    now = [0.0]
    punctuality = Punctuality(lambda: now[0])

    def block(came, work, *, waited):
        now[0] = max(now[0], came)
        punctuality.begin(1.0, waited=waited)
        now[0] += work
        punctuality.end()
        return punctuality.dropped

    assert block(1.0, 0.5, waited=True) == 0
    assert block(2.0, 2.5, waited=True) == 1
    # Two blocks have come meanwhile: the first of them is late as well, the second one in time again.
    assert block(3.0, 0.2, waited=False) == 2
    assert block(4.0, 0.2, waited=False) == 2
    assert punctuality.load() == pytest.approx(3.4 / 4)
    assert block(60.0, 0.9, waited=True) == 2
    # Faster than in real time: nothing is late as long as the work is fast.
    for _ in range(5):
        assert block(60.0, 0.1, waited=False) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "late"), [(0.0, False), (0.05, True)])
def test_a_slow_model_drops_blocks_in_real_time(monkeypatch, seconds, late):
    separator = two_frames()
    step = TwoFrames.step

    def slow(network, frames, state=()):
        time.sleep(seconds)
        return step(network, frames, state)

    monkeypatch.setattr(TwoFrames, "step", slow)
    session = LiveSession(stem_stream(separator, RATE, 1), {"first": 0})
    run(session, noise(1, RATE), paced=True)
    if late:
        assert session.dropped > 25
        assert session.punctuality.busy > session.punctuality.seconds
    else:
        assert session.dropped <= 2


def test_gtcrn_of_many_streams_is_each_stream_alone():
    inner = make_family("gtcrn")
    audio = noise(3, 700)
    denoiser = Denoiser(inner, channels=3)
    together = run(LiveSession(stem_stream(denoiser, RATE, 3), {"speech": 0}), audio)
    alone = [
        run(LiveSession(stem_stream(Denoiser(inner), RATE, 1), {"speech": 0}), each[None]) for each in audio
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)
