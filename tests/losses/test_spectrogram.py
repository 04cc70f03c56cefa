import pytest
import torch
from torch.testing import assert_close

from soloist.errors import UsageError
from soloist.losses import PhaseSensitiveLoss, Prediction, SpectrogramLoss, WaveformLoss
from soloist.transforms import STFT

REPRESENTATIONS = ["magnitude", "complex", "log"]
DISTANCES = ["l1", "mse", "rmse"]


def test_distances_of_waveforms_are_their_definitions():
    estimates, references = torch.randn(2, 3, 2, 50), torch.randn(2, 3, 2, 50)
    prediction = Prediction(references.sum(1), lambda: estimates)
    difference = estimates - references
    assert_close(WaveformLoss("l1")(prediction, references), difference.abs().mean(dim=(1, 2, 3)))
    assert_close(WaveformLoss("mse")(prediction, references), difference.square().mean(dim=(1, 2, 3)))
    rooted = difference.square().mean(dim=(2, 3)).sqrt().mean(dim=1)
    assert_close(WaveformLoss("rmse", eps=0.0)(prediction, references), rooted)


def test_the_separator_s_own_coefficients_are_compared_and_nothing_is_synthesised():
    stft = STFT(32, 16)
    references = torch.randn(2, 3, 2, 100)
    coefficients = torch.randn(2, 3, 2, 17, 8, dtype=torch.complex64)
    prediction = Prediction(references.sum(1), lambda: 1 / 0, analyze=stft, coefficients=coefficients)
    targets = torch.stack([stft(source) for source in references.unbind(1)], dim=1)
    planes = torch.view_as_real(coefficients - targets)
    loss = SpectrogramLoss("mse", "complex")
    assert_close(loss(prediction, references), planes.square().mean(dim=(1, 2, 3, 4, 5)))
    loss = SpectrogramLoss("l1", "magnitude")
    assert_close(
        loss(prediction, references), (coefficients.abs() - targets.abs()).abs().mean(dim=(1, 2, 3, 4))
    )


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_transform_of_the_recipe_is_taken_in_place_of_the_separator_s(representation, distance):
    estimates, references = torch.randn(2, 3, 2, 100), torch.randn(2, 3, 2, 100)
    given, own = STFT(64, 16), STFT(32, 16)
    loss = SpectrogramLoss(distance, representation, transform=given)
    plain = Prediction(references.sum(1), lambda: estimates)
    with_own = Prediction(
        references.sum(1),
        lambda: estimates,
        analyze=own,
        coefficients=torch.zeros(2, 3, 2, 17, 8, dtype=torch.complex64),
    )
    assert_close(loss(with_own, references), loss(plain, references))
    of_given = SpectrogramLoss(distance, representation)
    assert_close(
        of_given(Prediction(references.sum(1), lambda: estimates, analyze=given), references),
        loss(plain, references),
    )
    assert loss(plain, references).shape == (2,)
    assert (loss(plain, references) > 0).all()
    assert_close(
        loss(Prediction(references.sum(1), lambda: references), references),
        torch.full((2,), 1e-4 if distance == "rmse" else 0.0),
    )


def test_without_any_transform_the_way_out_is_told():
    references = torch.randn(1, 2, 1, 100)
    with pytest.raises(UsageError, match="SpectrogramLoss needs a transform"):
        SpectrogramLoss()(Prediction(references.sum(1), lambda: references), references)


@pytest.mark.parametrize("distance", DISTANCES)
def test_blocks_count_by_their_coefficients_or_by_themselves(distance):
    def analyze(audio):
        return [audio[..., :10], audio[..., 10:].unflatten(-1, (3, 10))]

    estimates, references = torch.randn(2, 3, 1, 40), torch.randn(2, 3, 1, 40)
    prediction = Prediction(references.sum(1), lambda: estimates, analyze=analyze)
    difference = (estimates.abs() - references.abs())[:, :, 0]
    powers = difference.abs() if distance == "l1" else difference.square()
    root = torch.sqrt if distance == "rmse" else torch.Tensor.clone
    whole = root(powers.mean(dim=-1)).mean(dim=1)
    assert_close(SpectrogramLoss(distance, eps=0)(prediction, references), whole)
    by_block = root((powers[..., :10].mean(dim=-1) + powers[..., 10:].mean(dim=-1)) / 2).mean(dim=1)
    assert_close(SpectrogramLoss(distance, weighting="blocks", eps=0)(prediction, references), by_block)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("distance", DISTANCES)
def test_gradients(representation, distance):
    stft = STFT(16, 8)
    references = torch.randn(2, 2, 1, 30, dtype=torch.float64)

    def loss(estimates):
        prediction = Prediction(references.sum(1), lambda: estimates)
        return SpectrogramLoss(distance, representation, transform=stft)(prediction, references)

    torch.autograd.gradcheck(loss, torch.randn_like(references).requires_grad_())
    zero = torch.zeros_like(references).requires_grad_()
    loss(zero).sum().backward()
    assert zero.grad.isfinite().all()


@pytest.mark.parametrize("wrong", [{"distance": "l3"}, {"representation": "phase"}])
def test_a_wrong_choice_is_refused(wrong):
    with pytest.raises(UsageError, match="must be"):
        SpectrogramLoss(**wrong)


@pytest.mark.parametrize("distance", ["l1", "mse"])
def test_the_best_mask_for_the_mixture_s_phase_is_what_is_asked_for(distance):
    """Nearest real mask in [0, 1] to the source, found by exhaustive search."""
    stft, references = STFT(32, 16), torch.randn(2, 3, 1, 100)
    mixture = references.sum(1)
    mixed, sources = stft(mixture), torch.stack([stft(source) for source in references.unbind(1)], dim=1)
    tried = torch.linspace(0, 1, 1001)
    distances = (tried * mixed[:, None, ..., None] - sources[..., None]).abs()
    best = tried[distances.argmin(dim=-1)]

    def prediction(masks):
        coefficients = masks * mixed[:, None]
        return Prediction(mixture, lambda: 1 / 0, analyze=stft, coefficients=coefficients)

    loss = PhaseSensitiveLoss(distance)
    assert_close(loss(prediction(best), references), torch.zeros(2), atol=1e-2, rtol=0)
    plain = SpectrogramLoss(distance)
    magnitudes = sources.abs() / mixed[:, None].abs()
    assert_close(plain(prediction(magnitudes), references), torch.zeros(2), atol=1e-5, rtol=0)
    assert (loss(prediction(magnitudes), references) > 0.1).all()
