"""Contract of losses, checked for every loss."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from torch.testing import assert_close

from soloist.errors import UsageError
from soloist.losses import (
    SDSDR,
    SISDR,
    SNR,
    Combinations,
    ComponentLoss,
    DeepClustering,
    FramedLoss,
    KLDivergence,
    MaskLoss,
    MixtureConsistency,
    MultiDomain,
    MultiResolutionComplex,
    MultiResolutionSTFT,
    PermutationInvariant,
    PhaseSensitiveLoss,
    Prediction,
    ReleasedZeroReferenceSNR,
    SpectrogramDivergence,
    SpectrogramLoss,
    ThresholdedSNR,
    WaveformLoss,
    WeightedSDR,
    WeightedSum,
    WhitenedKMeans,
    ZeroReferenceSNR,
)
from soloist.transforms import STFT

TRANSFORM = STFT(8, 4)
FRAMED = ["distortion", "sdr_like", "sdr", "dsr", "ldsr", "ncs", "nlcs"]

OF_ESTIMATES = {
    **{f"waveform {name}": WaveformLoss(name) for name in ("l1", "mse", "rmse")},
    **{f"spectrogram {name}": SpectrogramLoss("mse", name) for name in ("magnitude", "complex", "log")},
    "phase-sensitive magnitudes": PhaseSensitiveLoss(),
    "divergence of spectrograms": SpectrogramDivergence(),
    "released divergence of spectrograms": SpectrogramDivergence(as_released=True),
    **{f"framed {name}": FramedLoss(name, 8, 4) for name in FRAMED},
    "si-sdr": SISDR(),
    "si-sdr by channel": SISDR(channels="apart", stabilization="ratio"),
    "si-sdr of scaled channels": SISDR(channels="scaled"),
    "si-sdr of correlations": SISDR(stabilization="correlation"),
    "sd-sdr": SDSDR(),
    "snr": SNR(),
    "thresholded snr": ThresholdedSNR(),
    "zero-reference snr": ZeroReferenceSNR(),
    "released zero-reference snr": ReleasedZeroReferenceSNR(),
    "resolutions": MultiResolutionSTFT((8, 16), (3, 5), (8, 12)),
    "complex resolutions": MultiResolutionComplex((8, 16), (3, 5), (8, 12)),
    "weighted sdr": WeightedSDR(),
    "permutations": PermutationInvariant(SNR()),
    "permutations in a mixture": PermutationInvariant(WeightedSDR()),
    "combinations": Combinations(SNR()),
    "combinations in a mixture": Combinations(WeightedSDR()),
    "both domains": MultiDomain(SpectrogramLoss("mse"), SISDR()),
    "consistency": MixtureConsistency(WaveformLoss("mse")),
    "sum": WeightedSum([SNR(), WaveformLoss("l1")], [0.1, 2.0]),
}
OF_PARTS = {
    "masks": MaskLoss("mse"),
    "components": ComponentLoss(0.3, 0.4),
    "deep clustering": DeepClustering(),
    "deep clustering by magnitude": DeepClustering("magnitude"),
    "whitened k-means": WhitenedKMeans(),
    "released whitened k-means": WhitenedKMeans("equal", as_released=True),
    "divergence": KLDivergence(),
    "chimera": WeightedSum([DeepClustering(), PermutationInvariant(SpectrogramLoss("l1"))], [0.9, 0.1]),
}
LOSSES = OF_ESTIMATES | OF_PARTS
UNBOUNDED = {"framed sdr_like", "released divergence of spectrograms"}
"""What rewards estimates for being loud."""


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def predict(estimates, references):
    """Prediction with all forms, derived from the estimates."""
    folded = TRANSFORM(rearrange(estimates, "b s c t -> (b s) c t"))
    coefficients = folded.unflatten(0, estimates.shape[:2])
    masks = torch.sigmoid(coefficients.abs())
    embeddings = torch.view_as_real(coefficients)
    return Prediction(
        references.sum(dim=1),
        lambda: estimates,
        analyze=TRANSFORM,
        coefficients=coefficients,
        masks=masks,
        embeddings=rearrange(embeddings, "b s c f t part -> b c f t (s part)"),
        latent=(estimates[:, :, 0], 1 + estimates[:, :, 1].square()),
    )


@pytest.fixture
def references():
    return random(3, 2, 2, 21, seed=1)


@pytest.mark.parametrize("name", LOSSES)
def test_each_item_has_its_own_value(name, references):
    estimates = random(3, 2, 2, 21)
    together = LOSSES[name](predict(estimates, references), references)
    assert together.shape == (3,)
    assert together.isfinite().all()
    for index in range(3):
        item = slice(index, index + 1)
        alone = LOSSES[name](predict(estimates[item], references[item]), references[item])
        assert_close(alone, together[item])


@pytest.mark.parametrize("name", LOSSES)
def test_less_precision_of_networks_is_not_that_of_losses(name, references):
    estimates, references = random(3, 2, 2, 21).float(), references.float()
    expected = LOSSES[name](predict(estimates, references), references)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = LOSSES[name](predict(estimates, references), references)
    assert_close(value, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_value(name, references):
    references, estimates = references[:1, :, :, :12], random(1, 2, 2, 12).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda audio: LOSSES[name](predict(audio, references), references), (estimates,)
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("what", ["estimates", "references", "both"])
def test_silence_has_finite_values_and_gradients(name, what, references):
    """In single precision, squares of small constants vanish."""
    estimates = random(3, 2, 2, 21).float()
    references = references.float()
    if what != "references":
        estimates = torch.zeros_like(estimates)
    if what != "estimates":
        references = torch.stack([torch.zeros_like(references[:, 0]), references[:, 1]], dim=1)
        references[0] = 0
    estimates.requires_grad_()
    value = LOSSES[name](predict(estimates, references), references)
    value.sum().backward()
    assert value.isfinite().all()
    assert estimates.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(set(OF_ESTIMATES) - UNBOUNDED))
def test_better_estimates_have_less(name, references):
    noise = random(3, 2, 2, 21)
    worse, better = (
        LOSSES[name](predict(references + level * noise, references), references) for level in (1.0, 0.1)
    )
    assert (better < worse).all()


@pytest.mark.parametrize("name", LOSSES)
def test_references_of_another_length_are_refused(name, references):
    if name == "divergence":
        pytest.skip("it does not look at the references")
    prediction = predict(random(3, 2, 2, 21), references)
    with pytest.raises(UsageError, match="references must be"):
        LOSSES[name](prediction, references[..., :-1])


@pytest.mark.parametrize(
    ("loss", "what"),
    [
        (MaskLoss(), "masks"),
        (ComponentLoss(0.1, 0.2), "masks"),
        (DeepClustering(), "embeddings"),
        (KLDivergence(), "a latent distribution"),
        (SpectrogramLoss(), "a transform"),
    ],
)
def test_what_a_separator_does_not_give_is_named(loss, what, references):
    with pytest.raises(UsageError, match=f"{type(loss).__name__} needs {what}"):
        loss(Prediction(references.sum(dim=1), lambda: references), references)
