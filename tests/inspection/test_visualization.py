"""A visualization has the sounds, masks and embeddings of every family of separators."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from soloist.inspection import Excerpt, visualize, write_visualization
from soloist.networks import Autoencoder, SpectralNetwork, SuDoRMRF
from soloist.separators import (
    HPSS,
    ClusteringSeparator,
    FilterbankSeparator,
    Projet,
    SliCQSeparator,
    SpectralSeparator,
    TwoStageHPSS,
)
from soloist.transforms import STFT, LearnedFilterbank, SliCQ

RATE = 8000
SOURCES = ("low", "high")


class Splitting(SpectralNetwork):
    """Below the middle of the bins all is one source, above it the other; embeddings point there."""

    def __init__(self, embedded: bool = False, masked: bool = True, flipped: bool = False) -> None:
        super().__init__()
        self.embedded, self.masked, self.flipped = embedded, masked, flipped

    def forward(self, spectrogram: Tensor) -> Tensor:
        low = torch.zeros_like(spectrogram[:, :1])
        low[:, :, : low.shape[2] // 2] = 1
        low = 1 - low if self.flipped else low
        planes = []
        if self.embedded:
            planes = [low, 1 - low, 0.1 * low]
        if self.masked:
            planes += [low, 1 - low]
        return torch.cat(planes, dim=1)


def tones(channels=1, seconds=0.5, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    low, high = (0.3 * np.sin(2 * np.pi * pitch * time) for pitch in (500, 3000))
    return np.stack([np.broadcast_to(tone, (channels, len(time))) for tone in (low, high)]).astype(np.float32)


def excerpt(references=None, **options):
    return Excerpt("tones", tones(**options).sum(axis=0), options.get("rate", RATE), references or {})


def spectral():
    options = {"sources": SOURCES, "sample_rate": RATE, "channels": 1}
    return SpectralSeparator(
        STFT(256, 64), Splitting(), representation="magnitude", mode="masking", **options
    )


def clustering(masks=False, **options):
    return ClusteringSeparator(
        STFT(256, 64, scaled=True),
        Splitting(embedded=True, masked=masks, flipped=True),
        sources=SOURCES,
        sample_rate=RATE,
        embedding_size=3,
        embedding_activation=["unit"],
        mask_activation="relu" if masks else None,
        **options,
    )


def filterbank():
    network = SuDoRMRF(num_filters=8, channels=4, hidden_channels=8, num_blocks=1, depth=2)
    return FilterbankSeparator(LearnedFilterbank(8, 21, num_sources=2), network, sources=SOURCES)


def slicq():
    transform = SliCQ(sample_rate=RATE, scale="mel", bins=16, fmin=100.0)
    return SliCQSeparator(transform, Autoencoder((2, 3)), sources=SOURCES, sample_rate=RATE, channels=1)


class LowPass(SliCQSeparator):
    """Gives the first source all bins below 1 kHz, and the other the rest."""

    def estimate_masks(self, mixed):
        low = torch.tensor([frequency < 1000 for frequency in self.transform.frequencies])
        masks, first = [], 0
        for block in mixed:
            own = low[first : first + block.shape[2], None, None].expand(block.shape[1:])
            masks.append(torch.stack([own, ~own])[None].to(block.real.dtype))
            first += block.shape[2]
        return masks


FAMILIES = {
    "spectral": (spectral, True, False),
    "clustering": (clustering, True, True),
    "chimera": (lambda: clustering(masks=True, inference="masks"), True, True),
    "filterbank": (filterbank, False, False),
    "sliCQ": (slicq, True, False),
    "training-free": (lambda: HPSS(sample_rate=RATE, channels=1), True, False),
    "without a rule": (lambda: Projet(2, sample_rate=RATE), False, False),
    "two stages": (lambda: TwoStageHPSS(sample_rate=RATE, channels=1), False, False),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("options", [{}, {"channels": 2, "rate": 11025}, {"seconds": 1 / RATE}])
def test_every_family_shows_what_it_has(family, options, tmp_path):
    make, masks, embeddings = FAMILIES[family]
    torch.manual_seed(0)
    separator = make().eval()
    given = excerpt(**{"channels": separator.channels, **options})
    visualization = visualize(separator, given)
    shown = visualization.figure
    assert shown.mixture.shape == given.mixture.shape
    assert list(shown.estimates) == list(separator.sources)
    assert all(audio.shape == given.mixture.shape for audio in shown.estimates.values())
    assert list(shown.masks) == (list(separator.sources) if masks else [])
    for mask in shown.masks.values():
        assert mask.isfinite().all()
        assert mask.min() >= 0
    assert (shown.embeddings is not None) == embeddings
    assert (visualization.confidence is not None) == embeddings
    if not options and family in ("clustering", "two stages"):
        files = write_visualization(visualization, tmp_path / "new" / "folder")
        assert set((tmp_path / "new" / "folder").iterdir()) == set(files.values())


@pytest.mark.parametrize("make", [spectral, clustering, lambda: clustering(masks=True, inference="masks")])
def test_a_mask_is_that_of_the_source_beside_it(make):
    separator = make().eval()
    shown = visualize(separator, excerpt()).figure
    for name, audio in shown.estimates.items():
        # Half of the spectrum is 1, the other is 0: that in which the estimate sounds.
        mask = shown.masks[name]
        halves = mask[: len(mask) // 2 - 1].mean(), mask[len(mask) // 2 + 1 :].mean()
        level = torch.fft.rfft(audio[0]).abs()
        sounds_low = level[: len(level) // 2].sum() > level[len(level) // 2 :].sum()
        assert halves == pytest.approx((1, 0) if sounds_low else (0, 1), abs=1e-3)


def test_masks_of_uneven_bins_are_drawn_on_even_frequencies():
    transform = SliCQ(sample_rate=RATE, scale="mel", bins=40, fmin=100.0)
    separator = LowPass(transform, Autoencoder((2, 3)), sources=SOURCES, sample_rate=RATE, channels=1)
    masks = visualize(separator, excerpt()).figure.masks
    frequencies = torch.linspace(0, RATE / 2, len(masks["low"]))
    for rows, value in ((frequencies < 900, 1), (frequencies > 1100, 0)):
        torch.testing.assert_close(masks["low"][rows], torch.full_like(masks["low"][rows], value))
        torch.testing.assert_close(masks["high"][rows], torch.full_like(masks["high"][rows], 1 - value))


def test_points_are_grouped_by_the_estimate_that_they_are_heard_in():
    shown = visualize(clustering(), excerpt()).figure
    first = shown.estimates["low"]
    sounds_low = torch.fft.rfft(first[0]).abs().argmax() < first.shape[-1] // 4
    assert set(shown.groups.tolist()) == {0, 1}
    # The network is flipped: what is high has its embedding on the first axis.
    on_second = shown.embeddings[:, 1] > 0.5
    assert ((shown.groups == 0) == (on_second if sounds_low else ~on_second)).double().mean() > 0.95


def test_clusters_that_are_clear_are_trusted():
    confidence = visualize(clustering(), excerpt()).confidence
    assert confidence.silhouette.item() > 0.9
    assert confidence.posterior.item() > 0.9


def test_references_stand_by_the_estimates_that_they_belong_to():
    low, high = tones()
    shown = visualize(clustering(), excerpt({"talker1": high, "talker2": low})).figure
    for name, reference in shown.references.items():
        assert torch.corrcoef(torch.stack([reference[0], shown.estimates[name][0]]))[0, 1] > 0.99
    ordered = visualize(spectral(), excerpt({"high": high, "noise": low})).figure
    assert list(ordered.references) == ["high"]
    assert not visualize(clustering(), excerpt({"alone": low})).figure.references


def test_silence_is_drawn_too(tmp_path):
    silent = Excerpt("silence", np.zeros((1, 4000), np.float32), RATE)
    visualization = visualize(clustering(), silent)
    assert not any(audio.any() for audio in visualization.figure.estimates.values())
    write_visualization(visualization, tmp_path)


def test_the_files_are_what_was_separated(tmp_path):
    low, high = tones(channels=2)
    visualization = visualize(spectral(), excerpt({"low": low, "high": high}, channels=2))
    files = write_visualization(visualization, tmp_path, picture="svg", dimensions=3)
    assert list(files) == ["mixture", "low", "high", "low-reference", "high-reference", "picture"]
    audio, rate = soundfile.read(files["high"], dtype="float32", always_2d=True)
    assert rate == RATE
    np.testing.assert_array_equal(audio.T, visualization.figure.estimates["high"])
    np.testing.assert_array_equal(soundfile.read(files["low-reference"], dtype="float32")[0].T, low)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dimensions"), [("png", 3), ("svg", 2)])
def test_the_same_excerpt_is_the_same_picture(tmp_path, kind, dimensions):
    pictures = []
    for place in ("one", "two"):
        visualization = visualize(clustering(), excerpt(seconds=0.1))
        files = write_visualization(visualization, tmp_path / place, picture=kind, dimensions=dimensions)
        pictures.append(files["picture"].read_bytes())
    assert pictures[0] == pictures[1]
