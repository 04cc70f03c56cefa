"""REPET-SIM finds what repeats without a period, and says how it picks."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import RepetSim
from soloist.separators.training_free.repet_sim import cosine_similarity

RATE = 8000


def irregular_repetition() -> tuple[torch.Tensor, torch.Tensor]:
    """A noise burst at irregular times, and a lead that glides and never repeats: `(1, 1, samples)`."""
    generator = torch.Generator().manual_seed(0)
    burst = torch.randn(RATE // 2, generator=generator) * 0.1
    background = torch.zeros(8 * RATE)
    for start in (0.0, 0.9, 1.7, 3.0, 3.8, 5.1, 6.3, 7.2):
        background[int(start * RATE) : int(start * RATE) + len(burst)] = burst
    time = torch.arange(8 * RATE) / RATE
    lead = 0.2 * torch.sin(2 * torch.pi * (400 * time + 80 * time**2))
    return background[None, None], lead[None, None]


@pytest.mark.parametrize("picking", ["maxima", "greedy"])
def test_what_repeats_irregularly_is_accompaniment(picking):
    background, lead = irregular_repetition()
    separator = RepetSim(sample_rate=RATE, channels=1, min_distance=0.4, picking=picking)
    vocals, accompaniment = separator(background + lead).unbind(1)
    mixture_error, error = background.square().sum(), (vocals - lead).square().sum()
    assert error < 0.5 * mixture_error
    assert (accompaniment - background).square().sum() < 0.5 * lead.square().sum()


def test_the_frame_itself_counts_unless_picking_is_greedy():
    # Frames so unlike that none is similar: each is its own model, or has none.
    magnitudes = torch.eye(12).expand(1, 1, 12, 12).clone()
    options = {"sample_rate": RATE, "channels": 1, "n_fft": 22, "hop_length": 11, "high_pass": 0.0}
    alone = RepetSim(threshold=0.9, min_distance=0.0, **options)
    assert (alone.background(magnitudes) == 1).all()
    # The greedy rule leaves itself out: a pair of equal frames explains one another.
    magnitudes[..., 5] = magnitudes[..., 6]
    greedy = RepetSim(threshold=0.9, min_distance=0.0, picking="greedy", **options)
    assert (greedy.background(magnitudes) == 1).all()


def test_the_threshold_is_a_similarity_unless_picking_is_greedy():
    # All similarities lie above 0.9: the plain threshold keeps all of them, the rescaled one few.
    magnitudes = 1 + 0.3 * torch.rand(20, 40, generator=torch.Generator().manual_seed(1))
    similarity = cosine_similarity(magnitudes)
    assert similarity.min() > 0.9
    options = {"sample_rate": RATE, "channels": 1, "threshold": 0.9, "min_distance": 0.0}
    _, counts = RepetSim(**options)._pick_maxima(similarity)
    _, greedy_counts = RepetSim(picking="greedy", **options)._pick_greedily(similarity)
    assert (counts == 40).all()
    assert (greedy_counts < 40).all()


def test_similar_frames_keep_their_distance_and_number():
    similarity = cosine_similarity(torch.rand(30, 200))
    separator = RepetSim(
        sample_rate=RATE, channels=1, n_fft=512, hop_length=80, min_distance=0.1, max_frames=5
    )
    for pick in (separator._pick_maxima, separator._pick_greedily):
        indices, counts = pick(similarity)
        assert counts.max() <= 5
        for row, count in zip(indices, counts, strict=True):
            kept = row[:count].sort().values
            assert count < 2 or kept.diff().min() > 9


@pytest.mark.parametrize("options", [{"threshold": 1.5}, {"min_distance": -1.0}, {"max_frames": 0}])
def test_nonsense_is_refused(options):
    with pytest.raises(UsageError):
        RepetSim(**options)
