"""Sources that have no order keep it through a recording, whatever is silent, and however it is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from soloist.inference import StreamSettings, TorchEngine, separate_stream
from soloist.inference.track_report import MeanConfidence
from soloist.metrics import best_order, si_sdr
from toy_embeddings import SAMPLE_RATE, band_separator, band_talkers

TAKING_TURNS = ["xxxx......xxxx..xx", "xxxx..xxxx......xx", "xxxx....xxxxxx..xx"]
"""Each talker is silent for several chunks of half a second, and all are for two."""


class Forgetful(TorchEngine):
    """Clusters each chunk anew."""

    def follow(self, note=None):
        return None


def separate(separator, mixture, engine=TorchEngine, block=None, note=None, **settings):
    blocks = mixture.split(block or mixture.shape[-1], dim=-1)
    pairs = separate_stream(
        separator,
        (part.numpy() for part in blocks),
        SAMPLE_RATE,
        engine=engine(separator, "cpu"),
        settings=StreamSettings(**settings),
        note=note,
    )
    return torch.from_numpy(np.concatenate([estimates for _, estimates in pairs], axis=-1))


def scores(estimates, talkers):
    """SI-SDR of each talker, in the one order of the estimates that fits the whole recording best."""
    agreement = torch.einsum("s t, u t -> s u", talkers, estimates)
    order = best_order(agreement.abs()[None])[0]
    return si_sdr(talkers[None, :, None], estimates[order][None, :, None])[0]


@pytest.mark.parametrize("settings", [{}, {"shifts": 3}, {"batch_size": 4}, {"overlap": 0.0}])
def test_talkers_keep_their_order_through_silence(settings):
    talkers = band_talkers(TAKING_TURNS)
    mixture = talkers.sum(dim=0, keepdim=True)
    estimates = separate(band_separator(), mixture, **settings)[:, 0]
    assert scores(estimates, talkers).min() > 15


def test_without_memory_they_would_not():
    talkers = band_talkers(TAKING_TURNS)
    estimates = separate(band_separator(), talkers.sum(dim=0, keepdim=True), Forgetful)[:, 0]
    assert scores(estimates, talkers).min() < 10


def test_the_reader_s_blocks_and_the_batches_change_nothing():
    mixture = band_talkers(TAKING_TURNS).sum(dim=0, keepdim=True)
    expected = separate(band_separator(), mixture)
    for options in ({"block": 777}, {"batch_size": 5}, {"block": 20_000, "batch_size": 2}):
        torch.testing.assert_close(
            separate(band_separator(), mixture, **options), expected, atol=1e-5, rtol=0
        )


def test_each_recording_begins_anew():
    separator = band_separator()
    engine = TorchEngine(separator, "cpu")
    first, second = (band_talkers(["xx", "xx", "xx"], seed=seed).sum(dim=0, keepdim=True) for seed in (0, 1))
    separate(separator, first, lambda *_: engine)
    after = separate(separator, second, lambda *_: engine)
    assert torch.equal(after, separate(separator, second))


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_agree_on_the_talkers(channels):
    talkers = band_talkers(TAKING_TURNS)
    gains = torch.tensor([[1.0, 0.2], [0.5, 0.5], [0.2, 1.0]])
    stereo = talkers[:, None] * gains[..., None]
    estimates = separate(band_separator(channels=channels), stereo.sum(dim=0))
    for side in range(2):
        assert scores(estimates[:, side], stereo[:, side]).min() > 10


def test_three_channels_and_a_stereo_separator():
    talkers = band_talkers(["xx", "xx", "xx"])
    mixture = talkers.sum(dim=0).expand(3, -1) * torch.tensor([1.0, 0.8, 0.6])[:, None]
    estimates = separate(band_separator(channels=2), mixture)
    assert estimates.shape == (3, 3, mixture.shape[1])
    torch.testing.assert_close(estimates.sum(dim=0), mixture, atol=1e-4, rtol=0)


def test_a_talker_who_comes_late_gets_a_place_of_his_own():
    talkers = band_talkers(["xxxxxxxxxxxx", "xxxxxxxxxxxx", "......xxxxxx"])
    separator = band_separator(count_sources=True)
    estimates = separate(separator, talkers.sum(dim=0, keepdim=True))[:, 0]
    assert scores(estimates, talkers).min() > 15
    # Who is not there has no share in the others.
    assert estimates[:, : SAMPLE_RATE * 2].square().sum(dim=1).min() == 0


def test_talkers_who_come_late_take_over_halves_of_the_first():
    talkers = band_talkers(["xxxxxxxxxxxxxxxx", "...xxxxxxxxxxxxx", ".....xxxxxxxxxxx"])
    estimates = separate(band_separator(spread=0.2), talkers.sum(dim=0, keepdim=True))[:, 0]
    late = slice(5 * SAMPLE_RATE, None)
    assert scores(estimates[:, late], talkers[:, late]).min() > 15


def test_confidence_is_noted_chunk_by_chunk():
    talkers = band_talkers(TAKING_TURNS)
    mixture = talkers.sum(dim=0, keepdim=True)
    clear, unclear = MeanConfidence(), MeanConfidence()
    separate(band_separator(), mixture, note=clear.note)
    separate(band_separator(spread=0.5), mixture, note=unclear.note)
    assert clear.figures["silhouette"] > 0.9
    assert clear.figures["posterior"] > 0.9
    for name in ("silhouette", "posterior"):
        assert unclear.figures[name] < clear.figures[name] - 0.02


def test_silence_has_no_confidence():
    confidence = MeanConfidence()
    estimates = separate(band_separator(), torch.zeros(1, 20_000), note=confidence.note)
    assert confidence.figures is None
    assert not estimates.any()
