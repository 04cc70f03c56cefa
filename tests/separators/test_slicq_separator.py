"""Masks on the blocks of a sliCQ: shapes, chunks, predictions, statistics."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.networks import Autoencoder, BiLSTM
from soloist.separators import Chunking, Measuring, SliCQSeparator, separate_chunked
from soloist.transforms import SliCQ

RATE = 8000


def make(design=None, **options):
    torch.manual_seed(0)
    """A small separator without a Wiener filter."""
    arguments = {"sources": ["drums", "bass", "other"], "sample_rate": RATE, "bandwidth": 3000.0}
    arguments |= {"wiener_iterations": 0} | options
    transform = SliCQ("bark", 24, 80.0, sample_rate=RATE)
    return SliCQSeparator(transform, design or Autoencoder((3, 4)), **arguments).eval()


def mixture(length, batch=1):
    return 0.1 * torch.randn(batch, 2, length, generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize("length", [1, 100, 8000, 12345])
@pytest.mark.parametrize("design", [Autoencoder((3, 4)), Autoencoder((3, 4), as_released=True), BiLSTM()])
def test_estimates_have_the_mixture_s_length(design, length):
    with torch.no_grad():
        estimates = make(design)(mixture(length, batch=2))
    assert estimates.shape == (2, 3, 2, length)
    assert torch.isfinite(estimates).all()


def test_masks_of_ones_give_the_mixture():
    separator = make()
    for block in separator.network.blocks:
        torch.nn.init.constant_(block.head.bias, 100.0)
        torch.nn.init.zeros_(block.head.weight)
    audio = mixture(9000)
    with torch.no_grad():
        prediction = separator.predict(audio)
    torch.testing.assert_close(prediction.estimates, audio[:, None].expand(-1, 3, -1, -1), atol=1e-6, rtol=0)


def test_chunks_make_what_the_whole_makes():
    separator = make(chunk_slices=32)
    audio = mixture(60_000)
    chunking = Chunking.of(separator)
    assert chunking.step % separator.transform.hop_length == 0
    assert chunking.trim == separator.receptive_field
    with torch.no_grad():
        whole = separator(audio)
        chunked = separate_chunked(separator, audio, chunking)
    assert 3 * chunking.step < 60_000
    torch.testing.assert_close(chunked, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("as_released", [False, True])
def test_an_estimate_depends_on_nothing_beyond_the_receptive_field(as_released):
    separator = make(Autoencoder((3, 4), as_released)).double()
    audio = mixture(40_000).double()
    changed = audio.clone()
    changed[..., 20_000] += 1
    with torch.no_grad():
        difference = (separator(changed) - separator(audio)).abs().amax(dim=(0, 1, 2))
    affected = torch.arange(40_000)[difference > 1e-12]
    reach = (affected - 20_000).abs().max().item()
    assert 0.5 * separator.receptive_field < reach <= separator.receptive_field


def test_a_prediction_has_blocks_of_coefficients_and_masks():
    separator = make()
    audio = mixture(9000, batch=2)
    prediction = separator.predict(audio)
    mixed = separator.transform(audio)
    for coefficients, mask, block in zip(prediction.coefficients, prediction.masks, mixed, strict=True):
        assert mask.shape == coefficients.shape == (2, 3, *block.shape[1:])
        torch.testing.assert_close(coefficients, mask * block[:, None])
    assert prediction.estimates.shape == (2, 3, 2, 9000)


@pytest.mark.parametrize("normalization", ["track", "chunk"])
def test_predictions_are_at_the_mixture_s_level(normalization):
    separator = make(normalization=normalization)
    audio = 0.01 * mixture(9000, batch=2) + 0.2
    with torch.no_grad():
        prediction = separator.predict(audio)
        torch.testing.assert_close(prediction.estimates, separator(audio), atol=1e-6, rtol=0)


@pytest.mark.parametrize("iterations", [0, 1])
def test_silence_stays_silent(iterations):
    silence = torch.zeros(1, 2, 5000)
    separator = make(wiener_iterations=iterations)
    assert (separator.predict(silence).estimates == 0).all()
    assert (separator(silence) == 0).all()


@pytest.mark.parametrize("options", [{"wiener_iterations": 1}, {"wiener_iterations": 0, "soft_mask": True}])
def test_what_is_filtered_adds_up_to_the_mixture(options):
    """Also above the bandwidth, where each source alone would get the whole mixture."""
    audio = mixture(9000)
    with torch.no_grad():
        filtered = make(**options)(audio)
        masked = make()(audio)
    lacking, doubled = (
        ((estimates.sum(dim=1) - audio).square().mean() / audio.square().mean()).item()
        for estimates in (filtered, masked)
    )
    assert lacking < 1e-3
    assert doubled > 0.1


def test_a_filtered_estimate_depends_on_the_whole_chunk():
    separator = make(wiener_iterations=1)
    assert separator.receptive_field is None
    audio = mixture(40_000)
    with torch.no_grad():
        chunked = separate_chunked(separator, audio, Chunking.of(separator))
        whole = separator(audio)
    assert (chunked - whole).square().mean() < 1e-3 * whole.square().mean()


@pytest.mark.parametrize("design", [Autoencoder((3, 4)), BiLSTM()])
def test_what_is_optimised_estimates_the_same(design):
    separator = make(design)
    for module in separator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
    audio = mixture(9000)
    with torch.no_grad():
        before = separator(audio)
        torch.testing.assert_close(separator.optimize()(audio), before, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("normalization", ["none", "chunk"])
def test_what_is_measured_whitens_what_was_measured(normalization):
    separator = make(normalization=normalization)
    assert isinstance(separator, Measuring)
    pieces = [0.3 * mixture(9000 + 500 * number) for number in range(3)]
    separator.measure(iter(pieces))
    seen = []
    block = separator.network.blocks[1]
    block.whitening.register_forward_hook(lambda module, inputs, output: seen.append(output[:, :2]))
    with torch.no_grad():
        for piece in pieces:
            separator(piece)
    seen = torch.cat([output.mean(dim=1) for output in seen], dim=-1)
    torch.testing.assert_close(seen.mean(dim=-1), torch.zeros(1, block.shape.bins), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(dim=-1), torch.ones(1, block.shape.bins), atol=1e-2, rtol=0)


def test_a_recurrent_network_needs_no_statistics():
    separator = make(BiLSTM())
    before = {name: value.clone() for name, value in separator.state_dict().items()}
    separator.measure([mixture(9000)])
    assert all(torch.equal(before[name], value) for name, value in separator.state_dict().items())


def test_a_transform_for_another_rate_is_refused():
    with pytest.raises(UsageError, match="one for 8000 Hz, the separator for 16000 Hz"):
        make(sample_rate=16000)


def test_the_design_and_the_transform_make_the_network():
    separator = SliCQSeparator(
        SliCQ(), Autoencoder(), sources=["bass", "vocals", "other", "drums"], sample_rate=44100
    )
    assert sum(parameter.numel() for parameter in separator.parameters()) == 6_671_856
    assert len(separator.network.blocks) == 51


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bandwidth": -3.0}, "bandwidth -3 Hz must not be negative; give none"),
        ({"bandwidth": float("nan")}, "bandwidth nan Hz"),
        ({"chunk_slices": 0}, "chunk_slices 0 must be at least 1"),
        ({"wiener_iterations": -1}, "iterations -1"),
        ({"sample_rate": 44100}, "for 8000 Hz, the separator for 44100 Hz"),
    ],
)
def test_an_illegal_setting_is_refused(options, told):
    with pytest.raises(UsageError, match=told):
        make(**options)
