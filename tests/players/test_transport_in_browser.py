"""The transport of the mixer in a browser: tracks together, pitch kept, an hour in little memory."""

import os
from functools import lru_cache

import numpy as np
import pytest

from chromium import start_chromium
from served_songs import finished_job, noise, serving
from soloist.server.job_store import JobStore
from soloist.server.limits import Limits

pytestmark = pytest.mark.slow

RATE = 8000
LISTEN = 60.0 if os.environ.get("SOLOIST_TEST_PROFILE") == "nightly" else 6.0
"""Seconds after which two tracks must still run together."""

START = """
const {Transport} = await import('/parts/transport.js');
window.transport = new Transport({
    duration: SECONDS, sampleRate: RATE, tracks: 2, pieceSeconds: 5, worklet: '/parts/pitch_worklet.js',
    fetchPiece: async (track, piece) =>
        (await fetch(`/api/jobs/JOB/stems/${track ? 'other' : 'one'}/pieces/${piece}`)).arrayBuffer(),
});
"""
CUT = """
(() => {
    const cut = transport.strips.map(({meter}) => {
        const samples = new Float32Array(meter.fftSize);
        meter.getFloatTimeDomainData(samples);
        return [...samples];
    });
    return [transport.position, ...cut];
})()
"""
PITCH = """
(async () => {
    const context = new OfflineAudioContext(1, 2 * 44100, 44100);
    await context.audioWorklet.addModule('/parts/pitch_worklet.js');
    const shifter = new AudioWorkletNode(context, 'pitch-shifter', {
        outputChannelCount: [1], parameterData: {factor: 1 / SPEED},
    });
    const tone = new OscillatorNode(context, {frequency: 440 * SPEED});
    tone.connect(shifter).connect(context.destination);
    tone.start();
    return [...(await context.startRendering()).getChannelData(0)];
})()
"""


@lru_cache(maxsize=1)
def hour():
    """An hour of noise, which takes a second to draw."""
    return noise(0, 1, 3600 * RATE)


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """An hour of two equal stems, and the service that has it."""
    folder = tmp_path_factory.mktemp("jobs")
    sound = hour()
    job = finished_job(JobStore(folder, Limits()), {"one": sound, "other": sound}, rate=RATE)
    with serving(folder) as page:
        yield page, job


@pytest.fixture(scope="module")
def tab(song, tmp_path_factory):
    page, job = song
    with start_chromium(tmp_path_factory.mktemp("profile")) as tab:
        tab.open(page.url)
        script = START.replace("JOB", job.id).replace("SECONDS", "3600").replace("RATE", str(RATE))
        tab.run(f"(async () => {{{script}}})()")
        yield tab


def lag_of_cut(tab):
    """Seconds between two tracks that are cut out at once, and between what sounds and what should."""
    position, one, other = tab.run(CUT)
    likeness = np.correlate(one, other, "full")
    lag = (likeness.argmax() - len(one) + 1) / RATE
    sound = hour()[0]
    about = round(position * RATE)
    around = sound[max(0, about - 4 * len(one)) : about + 4 * len(one)]
    end = np.correlate(around, one, "valid").argmax() + len(one) + max(0, about - 4 * len(one))
    return lag, end / RATE - position


def test_tracks_stay_together_and_are_where_the_clock_says_after_seeks_and_a_while(tab):
    tab.run("transport.play()")
    for place in (0.0, 300.0, 3400.0, 1234.5):
        tab.run(f"transport.seek({place})")
        tab.wait_for(f"!transport.waiting && transport.position > {place} + 0.6")
        between, behind = lag_of_cut(tab)
        assert abs(between) < 0.010
        assert abs(behind) < 0.050  # the analyser and the clock are read one after the other
    tab.wait_for(f"transport.position > 1234.5 + {LISTEN}", LISTEN + 30)
    between, behind = lag_of_cut(tab)
    assert abs(between) < 0.010
    assert abs(behind) < 0.050
    tab.run("transport.pause()")


def test_a_loop_over_the_edge_of_two_pieces_has_no_gap(tab):
    """What comes out of the analysers around the edge is the sound itself."""
    tab.run("transport.setLoop({from: 9.5, to: 10.5})")
    tab.run("transport.seek(9.5)")
    tab.run("transport.play()")
    tab.wait_for("!transport.waiting && transport.position > 10.15")
    position, one, _ = tab.run(CUT)
    sound = hour()[0, round(9.4 * RATE) : round(10.6 * RATE)]
    likeness = np.correlate(sound, one, "valid").max()
    assert likeness == pytest.approx(np.dot(one, one), rel=0.01)
    assert 9.5 <= position <= 10.5
    tab.wait_for("transport.position < 9.9")
    tab.run("transport.pause()")
    tab.run("transport.setLoop(null)")


def test_an_hour_keeps_a_few_pieces_only(tab):
    tab.run("transport.play()")
    for place in np.linspace(0, 3500, 15):
        tab.run(f"transport.seek({place})")
        tab.wait_for(f"!transport.waiting && transport.position >= {place}")
    assert tab.run("transport.pieces.size") <= 6
    assert tab.run("transport.spans.length") <= 3
    tab.run("transport.pause()")


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25])
def test_the_pitch_is_the_same_at_any_speed(tab, speed):
    sound = np.array(tab.run(PITCH.replace("SPEED", str(speed))))[22050:]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    loudest = spectrum.argmax() * 44100 / len(sound)
    assert loudest == pytest.approx(440, rel=0.01)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(np.sqrt(0.5), rel=0.15)
