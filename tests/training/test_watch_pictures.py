"""What is drawn, and what is left behind by it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from soloist.inspection import loud_embeddings
from soloist.losses import Prediction
from soloist.plots.panels import project
from soloist.training.watch.tensorboard_pictures import (
    draw_embeddings,
    draw_spectrograms,
    draw_waveforms,
    to_pixels,
)
from soloist.transforms import STFT

RATE = 8000


@pytest.fixture
def panels():
    seconds = torch.arange(RATE) / RATE
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * seconds)
    return {"tone": torch.stack([tone, tone]), "silence": torch.zeros(2, RATE)}


def test_a_tone_is_a_line_at_its_frequency_and_level(panels):
    figure = draw_spectrograms(panels, RATE)
    tone, silence, scale = figure.axes
    levels = tone.images[0].get_array()
    left, right, low, high = tone.images[0].get_extent()
    assert (left, right, low, high) == (0, 1, 0, 4000)
    middle = levels[:, levels.shape[1] // 2]
    assert middle.argmax() / (len(middle) - 1) * high == pytest.approx(1000, abs=16)
    assert middle.max() == pytest.approx(-6.02, abs=0.1), "dB of full scale"
    assert silence.images[0].get_array().max() < -80
    assert (tone.get_title(), silence.get_title()) == ("tone", "silence")
    assert (tone.get_ylabel(), tone.get_xlabel()) == ("frequency (Hz)", "time (s)")
    assert scale.get_ylabel() == "level (dB)"


@pytest.mark.parametrize("samples", [1, 7, 100, 30001])
def test_waveforms_reach_from_the_least_to_the_greatest_sample(samples):
    audio = torch.randn(2, samples).cumsum(dim=1)
    figure = draw_waveforms({"one": audio, "two": audio / 2}, RATE)
    one, two = figure.axes
    drawn = one.collections[0].get_paths()[0].vertices
    assert drawn[:, 1].min() == pytest.approx(audio.min().item())
    assert drawn[:, 1].max() == pytest.approx(audio.max().item())
    assert one.get_ylim() == two.get_ylim()
    assert to_pixels(draw_spectrograms({"one": audio, "two": audio}, RATE)).shape == (260, 1100, 3)


def test_embeddings_are_drawn_where_they_vary_most():
    torch.manual_seed(0)
    plane = torch.randn(500, 2) * torch.tensor([5.0, 2.0])
    directions = torch.linalg.qr(torch.randn(20, 2)).Q
    projected = project(plane @ directions.T + 0.01 * torch.randn(500, 20) + 3)
    for axis in range(2):
        alike = torch.corrcoef(torch.stack([projected[:, axis], plane[:, axis].double()]))[0, 1]
        assert abs(alike) > 0.99
    dominant = (plane[:, 0] > 0).long()
    axes = draw_embeddings(plane @ directions.T, dominant, ("voice", "noise")).axes[0]
    assert [len(points.get_offsets()) for points in axes.collections] == [
        int((dominant == index).sum()) for index in range(2)
    ]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["voice", "noise"]


def test_pictures_leave_the_random_numbers_of_a_training_alone(panels):
    before = torch.get_rng_state()
    draw_embeddings(torch.randn(9, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(9), ("a",))
    draw_spectrograms(panels, RATE)
    assert torch.equal(torch.get_rng_state(), before)


def test_drawing_needs_no_global_state_of_matplotlib(panels):
    pyplot = sys.modules.get("matplotlib.pyplot")
    pixels = to_pixels(draw_waveforms(panels, RATE))
    assert pixels.dtype == np.uint8
    assert sys.modules.get("matplotlib.pyplot") is pyplot
    assert pyplot is None or not pyplot.get_fignums()


def test_embeddings_are_coloured_by_the_loudest_source():
    stft = STFT(256, 64)
    seconds = torch.arange(4000) / RATE
    low, high = (torch.sin(2 * torch.pi * pitch * seconds) for pitch in (500, 3000))
    references = torch.stack([low, high])[None, :, None]
    mixture = references.sum(dim=1)
    bins = stft(mixture).shape[2]
    frequency = torch.linspace(0, RATE / 2, bins)[None, None, :, None, None]
    embeddings = frequency.expand(*stft(mixture).shape, 1)
    prediction = Prediction(mixture, lambda: references, analyze=stft, embeddings=embeddings)
    points, dominant = loud_embeddings(prediction, references)
    assert 0 < len(points) < embeddings.numel() / 4
    # At the ends a tone is broken off, and heard at other frequencies too.
    assert (dominant == (points[:, 0] > 1750)).double().mean() > 0.95
