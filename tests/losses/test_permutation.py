import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from soloist.errors import UsageError
from soloist.losses import (
    SISDR,
    SNR,
    PermutationInvariant,
    Prediction,
    SpectrogramLoss,
    WaveformLoss,
    ZeroReferenceSNR,
)
from soloist.transforms import STFT

INNER = {
    "si-sdr": SISDR(),
    "zero references": ZeroReferenceSNR(),
    "spectrogram": SpectrogramLoss("mse", "complex", transform=STFT(16, 8)),
}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def said(estimates, references):
    return Prediction(references.sum(dim=1), lambda: estimates)


@st.composite
def shuffled(draw):
    """Noisy estimates of two to six sources, and their order."""
    count, seed = draw(st.integers(2, 6)), draw(st.integers(0, 1000))
    references = noise(2, count, 1, 60, seed=seed)
    estimates = references + draw(st.floats(0.1, 5)) * noise(2, count, 1, 60, seed=seed + 1)
    return references, estimates, draw(st.permutations(range(count)))


@given(shuffled())
@pytest.mark.parametrize("inner", INNER)
def test_the_order_of_estimates_and_references_changes_nothing(inner, case):
    references, estimates, order = case
    loss = PermutationInvariant(INNER[inner])
    value = loss(said(estimates, references), references)
    assert_close(loss(said(estimates[:, order], references), references), value, atol=1e-4, rtol=1e-4)
    assert_close(loss(said(estimates, references), references[:, order]), value, atol=1e-4, rtol=1e-4)
    assert (value <= INNER[inner](said(estimates, references), references) + 1e-4).all()


def test_items_have_orders_of_their_own():
    references = noise(2, 3, 2, 50)
    estimates = torch.stack([references[0], references[1].flip(0)])
    loss = PermutationInvariant(WaveformLoss("l1"))
    assert_close(loss(said(estimates, references), references), torch.zeros(2))


@pytest.mark.parametrize("count", [2, 6])
def test_gradients_reach_each_estimate_from_its_own_reference_only(count):
    references = noise(1, count, 1, 40)
    estimates = (references.roll(1, dims=1) + 0.1).requires_grad_()
    PermutationInvariant(WaveformLoss("mse"))(said(estimates, references), references).sum().backward()
    assert_close(estimates.grad, torch.full_like(estimates, 2 * 0.1 / 40 / count))


@pytest.mark.parametrize("count", [3, 6])
def test_ties_keep_the_order(count):
    references = noise(1, 1, 1, 40).expand(1, count, 1, 40)
    loss = PermutationInvariant(SNR())
    pairs = loss.pairs(said(noise(1, 1, 1, 40, seed=1).expand(1, count, 1, 40), references), references)
    assert loss.order(pairs).tolist() == [list(range(count))]


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 100))
def test_spare_estimates_count_nothing(count, extra, seed):
    references = noise(2, count, 1, 60, seed=seed)
    spare = noise(2, extra, 1, 60, seed=seed + 1)
    prediction = said(torch.cat([spare, references], dim=1), references)
    assert_close(PermutationInvariant(WaveformLoss("l1"), spare=True)(prediction, references), torch.zeros(2))
    with pytest.raises(UsageError, match=f"{count + extra} estimates cannot be matched with {count}"):
        PermutationInvariant(WaveformLoss("l1"))(prediction, references)


def test_too_few_estimates_are_refused():
    references = noise(1, 3, 1, 40)
    with pytest.raises(UsageError, match="2 estimates cannot be matched with 3 references"):
        PermutationInvariant(SNR(), spare=True)(said(references[:, :2], references), references)


def test_silent_sources_are_asked_to_be_silent_to_the_mixture_s_measure():
    references = noise(1, 3, 1, 4000)
    references[:, 1] = 0
    loss = PermutationInvariant(ZeroReferenceSNR(limit=30))
    assert_close(loss(said(references.flip(1), references), references), torch.tensor([-30.0]))
    leaking = references.clone()
    leaking[:, 1] = 0.1 * references.sum(dim=1)
    # The leak is 20 dB below the mixture; 30 dB would be perfect.
    third = loss(said(leaking, references), references).item() * 3 + 60
    assert third == pytest.approx(10 * torch.tensor(0.01 + 0.001).log10().item(), abs=0.05)
    ignoring = PermutationInvariant(ZeroReferenceSNR(limit=30, inactive="ignored"))
    assert_close(ignoring(said(leaking, references), references), torch.tensor([-20.0]))


@pytest.mark.parametrize(("level", "active"), [(-39.0, True), (-41.0, False)])
def test_how_faint_an_active_source_may_be(level, active):
    loud = noise(1, 1, 1, 5000)
    references = torch.cat([loud, 10 ** (level / 20) * loud.flip(-1)], dim=1)
    ratio = ZeroReferenceSNR()
    views = ratio.views(said(references, references), references)[1]
    assert ratio.active(views).tolist() == [[True, active]]
