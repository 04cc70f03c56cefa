import pytest
import torch
from torch.nn.functional import one_hot
from torch.testing import assert_close

from soloist.losses import DeepClustering, Prediction, WhitenedKMeans

LOSSES = [DeepClustering(), DeepClustering("magnitude"), WhitenedKMeans(), WhitenedKMeans("equal")]


def blocks(audio):
    """Transform into two blocks of different shapes, whose coefficients are the samples."""
    return [audio[..., :8], audio[..., 8:].unflatten(-1, (2, 4, 5))]


def said(references, embeddings, analyze=lambda audio: audio):
    return Prediction(references.sum(1), lambda: references, analyze=analyze, embeddings=embeddings)


def dominated():
    """Two alternating sources, and embeddings that identify the source of each sample."""
    owners = torch.randint(0, 2, (3, 1, 48))
    references = torch.rand(3, 2, 1, 48) * 0.1 + one_hot(owners, 2).permute(0, 3, 1, 2)
    return references, one_hot(owners, 2).float()


def test_affinities_are_compared_for_all_pairs():
    embeddings, owners = torch.randn(2, 30, 5), torch.randint(0, 3, (2, 30))
    weights = torch.rand(2, 30)
    unit = embeddings / embeddings.norm(dim=-1, keepdim=True)
    ideal = (owners[:, :, None] == owners[:, None]).float()
    pairs = weights[:, :, None] * weights[:, None]
    expected = ((unit @ unit.mT - ideal) * pairs).square().sum((1, 2)) / weights.square().sum(1).square()
    value = DeepClustering().compare(embeddings, one_hot(owners, 3).float(), weights)
    assert_close(value, expected, atol=1e-5, rtol=1e-4)


def test_whitened_distance_is_that_from_the_centres():
    embeddings, owners = torch.randn(2, 40, 4).double(), torch.randint(0, 3, (2, 40))
    ideal = one_hot(owners, 3).double()
    unit = embeddings / embeddings.norm(dim=-1, keepdim=True)
    values, vectors = torch.linalg.eigh(unit.mT @ unit)
    white = unit @ vectors @ torch.diag_embed(values.rsqrt()) @ vectors.mT
    centres = torch.linalg.inv(ideal.mT @ ideal) @ ideal.mT @ white
    expected = (white - ideal @ centres).square().sum((1, 2))
    value = WhitenedKMeans().compare(embeddings, ideal, torch.ones(2, 40).double())
    assert_close(value, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rotate", [False, True])
def test_embeddings_that_tell_the_sources_apart_are_best(loss, rotate):
    references, right = dominated()
    if rotate:
        right = right @ torch.linalg.qr(torch.randn(2, 2))[0]
    mixed = torch.where(torch.rand(3, 1, 48, 1) < 0.3, right.flip(-1), right)

    def value(embeddings):
        return loss(said(references, embeddings), references)

    # Two sources explain two dimensions: the distance is zero.
    assert_close(value(right), torch.zeros(3), atol=1e-3, rtol=0)
    assert (value(mixed) > value(right) + 0.05).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_blocks_are_joined(loss):
    references, _ = dominated()
    embeddings = torch.randn(3, 1, 48, 6)
    whole = said(references, embeddings)
    cut = [embeddings[:, :, :8], embeddings[:, :, 8:].unflatten(2, (2, 4, 5))]
    in_blocks = said(references, cut, blocks)
    assert_close(loss(in_blocks, references), loss(whole, references))


@pytest.mark.parametrize("loss", [DeepClustering(threshold=20), WhitenedKMeans(threshold=20)])
def test_points_below_the_threshold_count_nothing(loss):
    references, embeddings = dominated()
    references[..., 40:] *= 0.01
    changed = embeddings.clone()
    changed[:, :, 40:] = embeddings[:, :, 40:].flip(-1)
    values = [loss(said(references, vectors), references) for vectors in (embeddings, changed)]
    assert_close(*values)


def test_weights_by_magnitude_are_shares():
    mixture = torch.rand(2, 10)
    weights = DeepClustering("magnitude").weigh(mixture)
    assert_close(weights.square().sum(dim=1), torch.full((2,), 10.0))
    assert_close(weights.square() * mixture.sum(1, keepdim=True), 10 * mixture)
