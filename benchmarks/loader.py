"""Training examples of four seconds per second of a core, from FLAC on disk.

    python benchmarks/loader.py [--examples 60] [--minutes 3]

Writes two corpora to a temporary folder as FLAC: songs of the synthetic band (44.1 kHz, stereo, four stems)
and synthetic talkers (8 kHz and 16 kHz, mono). One thread of this process draws examples, mixtures with
references as in training. Prints examples per second of processor time and of real time, for songs also with
each augmentation.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from soloist.datasets import ClipFolder, StemFolders, synthesize_band, synthesize_talker
from soloist.datasets.synthetic_band import SOURCES
from soloist.mixing import (
    Augmentation,
    BandLimit,
    ChannelSwap,
    ClipMixer,
    Gain,
    Mixer,
    PitchTempo,
    RoomResponse,
    StemMixer,
)

SECONDS = 4.0
SONG_RATE = 44100


def write_songs(folder: Path, count: int, seconds: float) -> StemFolders:
    """Write songs of the synthetic band, half a minute repeated, as 16-bit FLAC."""
    for number in range(count):
        (folder / f"song{number}").mkdir(parents=True)
        for name, stem in synthesize_band(30, sample_rate=SONG_RATE, seed=number).items():
            song = np.tile(stem.T, (math.ceil(seconds / 30), 1))
            soundfile.write(folder / f"song{number}" / f"{name}.flac", song, SONG_RATE)
    return StemFolders(folder)


def write_talkers(folder: Path, sample_rate: int, talkers: int = 6, utterances: int = 3) -> ClipFolder:
    """Write talkers, twice as long as an example, as 16-bit FLAC."""
    for talker in range(talkers):
        (folder / f"{talker}").mkdir(parents=True)
        for utterance in range(utterances):
            audio = synthesize_talker(
                2 * SECONDS, talker=talker, utterance=utterance, sample_rate=sample_rate
            )
            soundfile.write(folder / f"{talker}" / f"{utterance}.flac", audio.T, sample_rate)
    return ClipFolder(folder)


def write_rooms(folder: Path) -> Path:
    """Write impulse responses of one second: noise that decays by 60 dB."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        response = 0.2 * rng.normal(size=SONG_RATE) * np.logspace(0, -3, SONG_RATE)
        soundfile.write(folder / f"{number}.flac", response, SONG_RATE)
    return folder


def mix_songs(
    songs: StemFolders, coherence: float = 1.0, augmentations: Sequence[Augmentation] = ()
) -> StemMixer:
    """Build a mixer of all four stems."""
    return StemMixer(
        songs,
        "all",
        sources=SOURCES,
        sample_rate=SONG_RATE,
        duration=SECONDS,
        coherence=coherence,
        augmentations=augmentations,
    )


def measure(title: str, mixer: Mixer, examples: int) -> None:
    """Draw examples after a warm-up, and print the number per second."""
    for index in range(len(mixer)):
        mixer.draw(index)
    clock, core = time.perf_counter(), time.process_time()
    for index in range(examples):
        mixer.draw(len(mixer) + index)
    clock, core = time.perf_counter() - clock, time.process_time() - core
    print(f"| {title} | {examples / core:.1f} | {examples / clock:.1f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=3.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        songs = write_songs(folder / "songs", 3, 60 * options.minutes)
        rooms = write_rooms(folder / "rooms")
        print(f"| excerpts of {SECONDS:g} s | a second of a core | a second of the clock |\n|---|---|---|")
        for rate in (8000, 16000):
            clips = write_talkers(folder / f"talkers{rate}", rate)
            mixer = ClipMixer(clips, "all", sources=("first", "second"), sample_rate=8000, duration=SECONDS)
            measure(f"two talkers, {rate // 1000} kHz to 8 kHz", mixer, options.examples)
        augmentations: dict[str, list[Augmentation]] = {
            "": [],
            ", gain and channel swap": [Gain(), ChannelSwap()],
            ", band limits": [BandLimit((30, 200), (4000, 16000), sample_rate=SONG_RATE)],
            ", rooms": [RoomResponse(rooms, sample_rate=SONG_RATE)],
            ", pitch and tempo of every fifth": [PitchTempo(sample_rate=SONG_RATE)],
        }
        for varied, chain in augmentations.items():
            mixer = mix_songs(songs, augmentations=chain)
            measure(f"four stems, 44.1 kHz stereo{varied}", mixer, options.examples)
        mixer = mix_songs(songs, coherence=0.0)
        measure("four stems, 44.1 kHz stereo, each of another song", mixer, options.examples)


if __name__ == "__main__":
    main()
