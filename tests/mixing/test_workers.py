"""Equal batches for any number of workers, with all mixers and augmentations."""

import numpy as np
import pytest
import soundfile
import torch

from soloist.datasets import ClipFolder, StemFolders
from soloist.mixing import (
    BandLimit,
    ChannelSwap,
    ClipMixer,
    Gain,
    NoiseMixer,
    PitchTempo,
    Polarity,
    PriorMixer,
    RoomResponse,
    SimulatedRoom,
    StemMixer,
    TimeShift,
    TrackMixer,
)
from soloist.training.data.batches import make_loader

RATE = 8000
SOURCES = ("drums", "vocals")
BATCHES = [[0, 1], [2, 3], [4, 5], [6]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five noises of half a second in two stems each, also used as clips and as room responses."""
    folder = tmp_path_factory.mktemp("noises")
    rng = np.random.default_rng(0)
    for track in range(5):
        (folder / f"{track}").mkdir()
        for stem in SOURCES:
            noise = rng.uniform(-0.3, 0.3, RATE // 2) * np.exp(-np.arange(RATE // 2) / 1000)
            soundfile.write(folder / f"{track}" / f"{stem}.flac", noise, RATE)
    return folder


def all_augmentations(folder):
    return [
        Gain(),
        Polarity(),
        ChannelSwap(),
        TimeShift(0.1, sample_rate=RATE),
        PitchTempo(sample_rate=RATE, p=0.5),
        BandLimit((50, 200), (1000, 3000), sample_rate=RATE),
        RoomResponse(folder, sample_rate=RATE, p=0.5),
        SimulatedRoom(3, decay=(0.15, 0.2), sample_rate=RATE),
        Gain(seed=1),
    ]


def make_mixer(kind, folder):
    common = {"sources": SOURCES, "sample_rate": RATE, "duration": 0.25, "channels": 2}
    varied = {**common, "augmentations": all_augmentations(folder)}
    tracks = TrackMixer(StemFolders(folder), "all", **common)
    clips = ClipMixer(ClipFolder(folder), "all", **varied)
    stems = StemMixer(StemFolders(folder), "all", coherence=0.5, **varied)
    noisy = NoiseMixer(ClipFolder(folder), [ClipFolder(folder), StemFolders(folder)], "all", **varied)
    prior = PriorMixer([clips, tracks], [1, 1])
    return {"tracks": tracks, "clips": clips, "stems": stems, "noisy": noisy, "prior": prior}[kind]


@pytest.mark.parametrize("kind", ["tracks", "clips", "stems", "noisy", "prior"])
def test_workers_change_nothing(folder, kind):
    mixer = make_mixer(kind, folder)
    loaded = [list(make_loader(mixer, BATCHES, workers=workers)) for workers in (0, 1, 2)]
    alone = [mixer.draw(index) for index in range(7)]
    for batches in loaded:
        assert [name for batch in batches for name in batch.names] == [example.name for example in alone]
        references = torch.cat([batch.references for batch in batches]).numpy()
        mixtures = torch.cat([batch.mixture for batch in batches]).numpy()
        np.testing.assert_array_equal(references, np.stack([example.references for example in alone]))
        np.testing.assert_array_equal(mixtures, np.stack([example.mixture for example in alone]))
        np.testing.assert_allclose(references.sum(axis=1), mixtures, atol=1e-6)
