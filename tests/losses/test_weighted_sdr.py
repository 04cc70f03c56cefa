import numpy as np
import pytest
import torch

from soloist.losses import Combinations, Prediction, WeightedSDR


def signals(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def predict(estimates, references):
    return Prediction(references.sum(dim=1), lambda: estimates)


def cosine(first, second):
    return np.dot(first, second) / (np.linalg.norm(first) * np.linalg.norm(second))


def by_hand(estimate, reference, mixture):
    """Loss of one channel of one source by the formula of the paper, plus one."""
    noise = mixture - reference
    weight = np.dot(reference, reference) / (np.dot(reference, reference) + np.dot(noise, noise))
    return 1 - weight * cosine(estimate, reference) - (1 - weight) * cosine(mixture - estimate, noise)


def test_it_is_the_papers():
    estimates, references = signals(2, 3, 2, 50, seed=1), signals(2, 3, 2, 50)
    found = WeightedSDR()(predict(estimates, references), references)
    for item in range(2):
        mixture = references[item].sum(dim=0).numpy()
        values = [
            by_hand(
                estimates[item, source, channel].numpy(), references[item, source, channel].numpy(), whole
            )
            for source in range(3)
            for channel, whole in enumerate(mixture)
        ]
        assert found[item].item() == pytest.approx(np.mean(values), rel=1e-9)


def test_sums_of_sources_are_compared_in_the_same_mixture():
    estimates, references = signals(1, 3, 1, 50, seed=1), signals(1, 3, 1, 50)
    terms = Combinations(WeightedSDR()).terms(predict(estimates, references), references)
    mixture = references.sum(dim=1)[0, 0].numpy()
    pairs = [[0], [1], [2], [0, 1], [0, 2], [1, 2]]
    expected = [
        by_hand(estimates[0, pair].sum(dim=0)[0].numpy(), references[0, pair].sum(dim=0)[0].numpy(), mixture)
        for pair in pairs
    ]
    np.testing.assert_allclose(terms[0].numpy(), expected, rtol=1e-9)


def test_it_is_zero_for_the_truth_and_more_for_anything_else():
    references = signals(1, 1, 1, 50)
    mixture = references[:, 0] + signals(1, 1, 50, seed=3)
    right = WeightedSDR()(Prediction(mixture, lambda: references), references)
    wrong = WeightedSDR()(Prediction(mixture, lambda: 2 * mixture[:, None] - references), references)
    assert right.item() == pytest.approx(0, abs=1e-9)
    assert wrong.item() > 1


def test_a_silent_reference_is_judged_by_the_rest():
    references = torch.cat([signals(1, 1, 1, 50), torch.zeros(1, 1, 1, 50, dtype=torch.float64)], dim=1)
    loud = references.clone()
    loud[:, 1] = 0.3 * signals(1, 1, 50, seed=2)
    terms = Combinations(WeightedSDR()).terms(predict(loud, references), references)
    assert 0.001 < terms[0, 1].item() < 1
    assert WeightedSDR()(predict(references, references), references).item() == pytest.approx(0, abs=1e-6)
