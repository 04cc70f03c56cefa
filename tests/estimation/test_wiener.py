"""Wiener filter by expectation maximisation: values and shapes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st

import soloist.estimation.wiener as module
from soloist.errors import UsageError
from soloist.estimation import WienerEM, with_phase_of
from soloist.transforms import SliCQ


def coefficients(*shape: int, seed: int = 0) -> torch.Tensor:
    """Complex noise in double precision."""
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def written_out(mixture, magnitudes, iterations, eps=1e-10):
    """Reference filter by the formulas, point by point: mixture `(channels, frequency, frames)`."""
    mixture, magnitudes = mixture.numpy(), magnitudes.numpy()
    channels, bins, frames = mixture.shape
    gain = max(1.0, np.abs(mixture).max() / 10)
    x, y = mixture / gain, magnitudes * np.exp(1j * np.angle(mixture)) / gain
    for _ in range(iterations):
        power = np.mean(np.abs(y) ** 2, axis=1)
        new = np.empty_like(y)
        for f in range(bins):
            covariances = [
                sum(np.outer(y[j, :, f, t], y[j, :, f, t].conj()) for t in range(frames))
                / (eps + power[j, f].sum())
                for j in range(len(y))
            ]
            for t in range(frames):
                whole = np.sqrt(eps) * np.eye(channels) + sum(
                    power[j, f, t] * covariances[j] for j in range(len(y))
                )
                for j in range(len(y)):
                    new[j, :, f, t] = power[j, f, t] * covariances[j] @ np.linalg.inv(whole) @ x[:, f, t]
        y = new
    return torch.from_numpy(y * gain)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("iterations", [1, 2])
def test_the_formulas(channels, iterations):
    mixture = 30 * coefficients(1, channels, 3, 6)
    magnitudes = 30 * coefficients(1, 4, channels, 3, 6, seed=1).abs()
    estimates = WienerEM(iterations)(mixture, magnitudes)
    expected = written_out(mixture[0], magnitudes[0], iterations)
    torch.testing.assert_close(estimates[0], expected, atol=1e-7, rtol=1e-7)


@given(
    seed=st.integers(0, 99),
    channels=st.integers(1, 2),
    residual=st.booleans(),
    start=st.sampled_from(["phase", "mask"]),
    iterations=st.integers(0, 3),
)
def test_estimates_and_residual_add_up_to_the_mixture(seed, channels, residual, start, iterations):
    mixture = coefficients(2, channels, 4, 9, seed=seed)
    magnitudes = coefficients(2, 3, channels, 4, 9, seed=seed + 1).abs()
    estimates = WienerEM(iterations, start, residual)(mixture, magnitudes)
    assert estimates.shape == (2, 3 + residual, channels, 4, 9)
    if residual or (start == "mask" and not iterations):
        torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=5e-3, rtol=1e-3)


@given(seed=st.integers(0, 99), start=st.sampled_from(["phase", "mask"]), residual=st.booleans())
def test_items_do_not_see_each_other(seed, start, residual):
    mixture = coefficients(3, 2, 4, 9, seed=seed) * torch.tensor([1.0, 100.0, 1e4])[:, None, None, None]
    magnitudes = coefficients(3, 3, 2, 4, 9, seed=seed + 1).abs()
    wiener = WienerEM(2, start, residual)
    together = wiener(mixture, magnitudes)
    for item in range(3):
        alone = wiener(mixture[item : item + 1], magnitudes[item : item + 1])
        torch.testing.assert_close(together[item : item + 1], alone)


def test_a_window_is_filtered_by_itself():
    mixture, magnitudes = coefficients(1, 2, 4, 25), coefficients(1, 3, 2, 4, 25, seed=1).abs()
    windowed = WienerEM(window=10)(mixture, magnitudes)
    for first in (0, 10, 20):
        part = slice(first, first + 10)
        alone = WienerEM(window=None)(mixture[..., part], magnitudes[..., part])
        torch.testing.assert_close(windowed[..., part], alone)


@pytest.mark.parametrize("group", [1, 100])
def test_groups_of_bins_change_nothing(monkeypatch, group):
    mixture, magnitudes = coefficients(2, 2, 7, 25), coefficients(2, 3, 2, 7, 25, seed=1).abs()
    expected = WienerEM(2)(mixture, magnitudes)
    monkeypatch.setattr(module, "_GROUP", group * 25)
    torch.testing.assert_close(WienerEM(2)(mixture, magnitudes), expected)


def test_the_input_is_left_alone():
    mixture, magnitudes = 50 * coefficients(1, 2, 4, 9), coefficients(1, 3, 2, 4, 9, seed=1).abs()
    mixture[..., 3] = 0
    before = mixture.clone(), magnitudes.clone()
    WienerEM(2, residual=True)(mixture, magnitudes)
    assert torch.equal(mixture, before[0])
    assert torch.equal(magnitudes, before[1])


@pytest.mark.parametrize("start", ["phase", "mask"])
def test_silence_stays_silent(start):
    estimates = WienerEM(2, start)(torch.zeros(1, 2, 3, 5, dtype=torch.complex64), torch.zeros(1, 4, 2, 3, 5))
    assert not estimates.any()


def test_equal_channels_in_single_precision():
    # The covariance of the mixture is singular but for its regularisation.
    sources = coefficients(1, 3, 1, 5, 40).to(torch.complex64).expand(-1, -1, 2, -1, -1) * 30
    mixture = sources.sum(dim=1)
    estimates = WienerEM(1)(mixture, sources.abs())
    exact = WienerEM(1)(mixture.to(torch.complex128), sources.abs().double())
    assert estimates.dtype == torch.complex64
    torch.testing.assert_close(estimates, exact.to(torch.complex64), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(estimates[:, :, 0], estimates[:, :, 1], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_the_phase_of_a_zero_is_0_whatever_its_sign(signs):
    zero = torch.complex(*(torch.full((1, 1, 1, 1), 0.0 * sign) for sign in signs))
    assert torch.equal(with_phase_of(torch.full((1, 1, 1, 1), 3.0), zero), torch.full_like(zero, 3.0))
    assert float(WienerEM(0)(zero, torch.full((1, 1, 1, 1, 1), 3.0)).real) == 3.0


def test_panned_sources_are_told_apart():
    # Two sources in every bin with inaccurate magnitudes: their directions separate them.
    pans = torch.tensor([[1.0, 0.2], [0.1, 1.0]], dtype=torch.float64)
    sources = coefficients(1, 2, 1, 6, 200) * pans[None, :, :, None, None]
    mixture = sources.sum(dim=1)
    noise = 0.7 + 0.6 * torch.rand(1, 2, 1, 6, 200, generator=torch.Generator().manual_seed(2))
    magnitudes = sources.abs() * noise

    def error(estimates):
        return float((estimates - sources).abs().square().mean())

    errors = [error(WienerEM(iterations)(mixture, magnitudes)) for iterations in (0, 1, 2)]
    assert errors[1] < 0.4 * errors[0]
    assert errors[2] < 0.8 * errors[1]


@pytest.mark.parametrize("seed", range(6))
def test_panned_sources_that_come_and_go(seed):
    """With one source alone and wrong magnitudes, the inverse amplifies the mismatch."""
    draw = torch.Generator().manual_seed(seed)
    sounding = torch.rand(1, 3, 1, 4, 4, generator=draw) < 0.5
    wrong = 0.5 + torch.rand(1, 3, 2, 4, 4, dtype=torch.float64, generator=draw)
    panned = 50 * sounding * coefficients(1, 3, 1, 4, 4, seed=seed) * coefficients(3, 2, 1, 1, seed=9).real
    mixture, magnitudes = panned.sum(dim=1), panned.abs() * wrong
    estimates = WienerEM(iterations=2)(mixture, magnitudes)
    expected = written_out(mixture[0], magnitudes[0], iterations=2)
    torch.testing.assert_close(estimates[0], expected, atol=1e-5, rtol=0)


def test_gradients_flow_to_the_magnitudes():
    mixture = coefficients(1, 2, 2, 3)
    magnitudes = (0.1 + coefficients(1, 2, 2, 2, 3, seed=1).abs()).requires_grad_()

    def filtered(values):
        return torch.view_as_real(WienerEM(1, residual=True)(mixture, values))

    assert torch.autograd.gradcheck(filtered, magnitudes, atol=1e-4)


def test_blocks_are_filtered_as_a_matrix_padded_with_zeros():
    slicq = SliCQ("bark", 20, 200.0, sample_rate=16000)
    audio = torch.randn(2, 2, 6000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    audio[1] *= 30
    mixture = slicq(audio)
    magnitudes = [
        block.abs()[:, None] * torch.rand(1, 3, 1, *block.shape[2:], dtype=torch.float64) for block in mixture
    ]
    widest = max(block.width for block in slicq.blocks)

    def matrix(blocks):
        padded = [torch.nn.functional.pad(block, (0, widest - block.shape[-1])) for block in blocks]
        return rearrange(torch.cat(padded, dim=-3), "... s t -> ... (s t)")

    wiener = WienerEM(2, window=None)
    expected = wiener(matrix(mixture), matrix(magnitudes))
    estimates = wiener.filter_blocks(mixture, magnitudes)
    torch.testing.assert_close(matrix(estimates), expected)


def test_blocks_in_windows_of_slices():
    slicq = SliCQ("bark", 20, 200.0, sample_rate=16000)
    mixture = slicq(torch.randn(1, 2, 9000, generator=torch.Generator().manual_seed(0)))
    magnitudes = [block.abs()[:, None] * torch.rand(1, 3, 1, *block.shape[2:]) for block in mixture]
    windowed = WienerEM(window=4).filter_blocks(mixture, magnitudes)
    alone = WienerEM(window=None).filter_blocks(
        [block[..., 4:8, :] for block in mixture], [block[..., 4:8, :] for block in magnitudes]
    )
    for block, part in zip(windowed, alone, strict=True):
        torch.testing.assert_close(block[..., 4:8, :], part)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"iterations": -1}, "iterations -1"),
        ({"window": 0}, "window 0"),
        ({"eps": 0.0}, "eps 0"),
        ({"start": "phases"}, "start 'phases'.*phase or mask"),
    ],
)
def test_an_illegal_setting_is_refused(options, told):
    with pytest.raises(UsageError, match=told):
        WienerEM(**options)


def test_shapes_that_do_not_fit_are_refused():
    wiener = WienerEM()
    mixture, magnitudes = coefficients(1, 2, 4, 9), coefficients(1, 3, 2, 4, 9).abs()
    for wrong in (magnitudes[:, 0], magnitudes[..., :8], magnitudes[:, :, :1]):
        with pytest.raises(UsageError, match="magnitudes must be"):
            wiener(mixture, wrong)
    with pytest.raises(UsageError, match="0 and 0 blocks"):
        wiener.filter_blocks([], [])
    with pytest.raises(UsageError, match="as many items and slices"):
        wiener.filter_blocks([mixture, mixture[..., :8]], [magnitudes, magnitudes[..., :8]])


def test_published_iterations(shared):
    vectors = np.load(shared / "reference/slicq/wiener_em.npz")
    mixture = rearrange(torch.from_numpy(vectors["mix_stft"]), "t f c part -> 1 c f t part").contiguous()
    mixture = torch.view_as_complex(mixture)
    magnitudes = rearrange(torch.from_numpy(vectors["targets_spectrograms"]), "t f c s -> 1 s c f t")
    for name, run in json.loads(str(vectors["config"]))["runs"].items():
        wiener = WienerEM(
            run["iterations"], "mask" if run["softmask"] else "phase", residual=run.get("residual", False)
        )
        expected = rearrange(torch.from_numpy(vectors[f"output/{name}"]), "t f c part s -> 1 s c f t part")
        expected = torch.view_as_complex(expected.contiguous())
        # The published code replaces a zero by a one for its phase; the one ends up in the residual.
        ones = run.get("residual", False) and not run["softmask"]
        seen = mixture.masked_fill(mixture == 0, 1) if ones else mixture
        # The published values are in single precision, with errors of this size.
        tolerance = (2e-6, 2e-5, 1e-4)[run["iterations"]] * float(expected.abs().max())
        torch.testing.assert_close(wiener(seen, magnitudes), expected, atol=tolerance, rtol=0)


def test_published_phase_of_the_mixture(shared):
    vectors = np.load(shared / "reference/slicq/phasemix.npz")
    for index in range(2):
        mixture = torch.view_as_complex(torch.from_numpy(vectors[f"input/{index}"]))
        magnitudes = torch.from_numpy(vectors[f"input_mag/{index}"])
        expected = torch.view_as_complex(torch.from_numpy(vectors[f"output/{index}"]))
        found = WienerEM(0)(mixture[..., 0, :], magnitudes[:, None, ..., 0, :])[:, 0]
        torch.testing.assert_close(found, expected[..., 0, :], atol=1e-5, rtol=0)
        torch.testing.assert_close(with_phase_of(magnitudes, mixture), expected, atol=1e-5, rtol=0)


def published_separator(shared, name):
    """Vectors, the transform, blocks of the mixture, and magnitudes of the sources in the published order."""
    vectors = np.load(shared / f"reference/slicq/separator_{name}.npz")
    arguments = json.loads(str(vectors["config"]))["args"]
    slicq = SliCQ(arguments["scale"], arguments["fbins"], arguments["fmin"], as_released=True)
    mixture = slicq(torch.from_numpy(vectors["input"])[None])
    order = ("vocals", "drums", "bass", "other")
    magnitudes = [
        torch.stack([torch.from_numpy(vectors[f"input_mag/{source}/{index}"]) for source in order], dim=1)
        for index in range(len(mixture))
    ]
    return vectors, slicq, mixture, magnitudes


def synthesized(slicq, blocks, length):
    return slicq.inverse([rearrange(block, "b n c f s t -> (b n) c f s t") for block in blocks], length)


def test_published_filter_on_the_slicq(shared):
    vectors, slicq, mixture, magnitudes = published_separator(shared, "slicq_wiener")
    expected = torch.from_numpy(vectors["output"])
    blocks = WienerEM().filter_blocks(mixture, magnitudes)
    estimates = synthesized(slicq, blocks, expected.shape[-1])
    torch.testing.assert_close(estimates, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


def test_published_filter_on_the_stft(shared):
    vectors, slicq, mixture, magnitudes = published_separator(shared, "stft_wiener")
    expected = torch.from_numpy(vectors["output"])
    length = expected.shape[-1]
    first = synthesized(slicq, WienerEM(0).filter_blocks(mixture, magnitudes), length)
    # The published transform does not pad on the right: frames up to the last whole hop.
    size, hop = 4096, 1024
    stft = {"n_fft": size, "hop_length": hop, "window": torch.ones(size)}
    heard = torch.stft(torch.from_numpy(vectors["input"]), **stft, return_complex=True)
    models = torch.stft(rearrange(first, "n c t -> (n c) t"), **stft, return_complex=True).abs()
    models = rearrange(models, "(n c) f t -> 1 n c f t", c=2)
    filtered = WienerEM()(heard[None], models)
    estimates = torch.istft(rearrange(filtered, "1 n c f t -> (n c) f t"), **stft, length=length)
    estimates = rearrange(estimates, "(n c) t -> n c t", c=2)
    torch.testing.assert_close(estimates, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


class Filtered(torch.nn.Module):
    """Filter with magnitudes derived from those of the mixture."""

    def __init__(self, wiener):
        super().__init__()
        self.wiener = wiener

    def forward(self, *blocks):
        mixture = [torch.view_as_complex(block) for block in blocks]
        shares = [torch.stack([0.5 * block.abs(), 0.2 * block.abs() ** 2], dim=1) for block in mixture]
        return [torch.view_as_real(block) for block in self.wiener.filter_blocks(mixture, shares)]


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    "wiener", [WienerEM(1, window=8), WienerEM(2, "mask", residual=True, window=8), WienerEM(2, window=None)]
)
@pytest.mark.parametrize("shapes", [[(5,)], [(3, 8), (2, 8), (1, 10), (2, 12), (1, 16)]])
def test_a_graph_filters_any_number_of_frames(wiener, shapes):
    def blocks(length):
        shaped = [(2, 2, bins, length, *width) for bins, *width in shapes]
        return [torch.view_as_real(coefficients(*shape)) for shape in shaped]

    module = Filtered(wiener)
    traced = torch.jit.trace(module, blocks(11), check_trace=False)
    for length in (3, 8, 11, 23):
        torch.testing.assert_close(traced(*blocks(length)), module(*blocks(length)))
