"""Ensembles: each member as if it were alone; average, median, smallest and largest magnitude."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.inference import separate_stream
from soloist.separators import Chain, ChainStep, CombinedSeparator, Ensemble
from soloist.separators.composite_plans import METHODS
from soloist.separators.composite_separator import model_hash
from soloist.transforms import STFT
from toy_separators import Smoother, Swapping

MIXTURE = 0.3 * torch.randn(1, 2, 9_000, generator=torch.Generator().manual_seed(0))


class Three(Smoother):
    """A smoother with a third source, which is silent."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.sources = ("smooth", "rough", "other")

    def estimate(self, mixture):
        two = super().estimate(mixture)
        return torch.cat([two, torch.zeros_like(two[:, :1])], dim=1)


def members(*reaches: int, **kwargs) -> list[Smoother]:
    return [Smoother(reach=reach, channels=2, **kwargs) for reach in reaches]


def stream(separator, mixture: torch.Tensor = MIXTURE, block: int = 1000, rate: int = 8000) -> torch.Tensor:
    """Estimates of a stream in blocks, as of a file."""
    blocks = (piece.numpy() for piece in mixture[0].split(block, dim=-1))
    pieces = [estimates for _, estimates in separate_stream(separator, blocks, rate)]
    return torch.from_numpy(np.concatenate(pieces, axis=-1))[None]


def test_the_average_has_a_weight_for_each_source():
    first, second, third = parts = members(3, 7, 11)
    ensemble = Ensemble(parts, [{"smooth": 1}, {"smooth": 3, "rough": 2}, {"rough": 6}])
    (a, _), (b, c), (_, d) = (part(MIXTURE).unbind(1) for part in (first, second, third))
    expected = torch.stack([(a + 3 * b) / 4, (c + 3 * d) / 4], dim=1)
    torch.testing.assert_close(ensemble(MIXTURE), expected)
    torch.testing.assert_close(stream(ensemble), expected)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("method", ["median", "min", "max"])
def test_magnitudes_are_chosen_as_on_whole_spectra(method, count):
    parts = members(1, 7, 20, 50)[:count]
    stft = STFT(512, 128, "sqrt_hann", pad_mode="constant")
    spectra = stft(torch.cat([part(MIXTURE) for part in parts]).flatten(0, 1)).numpy()
    spectra = spectra.reshape(count, 2, *spectra.shape[1:])
    ranked = np.take_along_axis(spectra, np.abs(spectra).argsort(axis=0), axis=0)
    middle = (ranked[(count - 1) // 2] + ranked[count // 2]) / 2
    expected = torch.from_numpy({"min": ranked[0], "max": ranked[-1], "median": middle}[method])
    audio = stft.inverse(expected, MIXTURE.shape[-1])[None]
    ensemble = Ensemble(parts, method=method)
    torch.testing.assert_close(ensemble(MIXTURE), audio, atol=1e-6, rtol=0)
    torch.testing.assert_close(stream(ensemble), audio, atol=1e-6, rtol=0)


def test_each_source_has_a_method_of_its_own():
    parts = members(3, 20)
    mixed = Ensemble(parts, method={"smooth": "max"})(MIXTURE)
    assert torch.equal(mixed[:, 0], Ensemble(parts, method="max")(MIXTURE)[:, 0])
    torch.testing.assert_close(mixed[:, 1], Ensemble(parts)(MIXTURE)[:, 1])


@given(block=st.integers(1, 4000), samples=st.integers(1, 5000), method=st.sampled_from(METHODS))
def test_a_stream_is_the_whole_whatever_its_blocks(block, samples, method):
    ensemble = Ensemble([*members(3, 20), Smoother(reach=7, sample_rate=6000, channels=1)], method=method)
    mixture = MIXTURE[..., :samples]
    whole = ensemble(mixture)
    assert whole.shape == (1, 2, 2, samples)
    torch.testing.assert_close(stream(ensemble, mixture, max(block, samples // 50)), whole, atol=1e-6, rtol=0)


@given(order=st.permutations(range(4)), method=st.sampled_from(["average", "median", "min", "max"]))
def test_the_order_of_the_members_does_not_matter(order, method):
    parts, mixture = members(1, 7, 20, 50), MIXTURE[..., :3000]
    shuffled = Ensemble([parts[place] for place in order], method=method)
    torch.testing.assert_close(shuffled(mixture), Ensemble(parts, method=method)(mixture), atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", ["average", "median", "min", "max"])
@pytest.mark.parametrize("kind", [{}, {"sample_rate": 6000}, {"normalization": "track", "bias": 0.1}])
def test_one_member_is_the_member(method, kind):
    (part,) = members(7, **kind)
    mixture = MIXTURE[..., :4000]
    assert torch.equal(Ensemble([part], method=method)(mixture), part(mixture))


@given(rates=st.lists(st.integers(4000, 9000), min_size=1, max_size=3), samples=st.integers(50, 3000))
def test_averages_partition_the_mixture_at_any_rates(rates, samples):
    parts = [part for rate in (9000, *rates) for part in members(rate // 1000, sample_rate=rate)]
    mixture = MIXTURE[..., :samples]
    torch.testing.assert_close(Ensemble(parts)(mixture).sum(1), mixture, atol=1e-5, rtol=0)


def test_what_the_rate_of_a_member_cannot_hold_comes_from_the_others():
    time = torch.arange(16_000) / 8000
    tone = torch.sin(2 * torch.pi * 3500 * time)[None, None]
    ensemble = Ensemble([Smoother(reach=3), Smoother(reach=3, sample_rate=4000)])
    expected = ensemble.parts[0](tone)
    torch.testing.assert_close(ensemble(tone)[..., 500:-500], expected[..., 500:-500], atol=1e-3, rtol=0)


def test_sources_are_those_of_all_members_and_each_is_made_by_those_that_have_it():
    two, three = Smoother(reach=3, channels=2), Three(reach=7, channels=2)
    ensemble = Ensemble([two, three])
    assert ensemble.sources == ("smooth", "rough", "other")
    expected = (two(MIXTURE) + three(MIXTURE)[:, :2]) / 2
    torch.testing.assert_close(ensemble(MIXTURE)[:, :2], expected)


def test_other_is_not_mixed_with_an_other_of_fewer_sources():
    rest = Smoother(reach=3, channels=2)
    rest.sources = ("smooth", "other")
    three = Three(reach=7, channels=2)
    assert Ensemble([three, rest]).weights == ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0))
    # Weights that somebody states are those that count.
    assert Ensemble([three, rest], [1, 2]).weights == ((1.0, 1.0, 1.0), (2.0, 0.0, 2.0))


def test_one_source_runs_only_the_members_that_it_is_made_by():
    ensemble = Ensemble(members(3, 7, 11), [{"smooth": 1}, {"smooth": 1, "rough": 1}, {"rough": 1}])
    one = ensemble.only(["rough"])
    assert one.sources == ("rough",)
    assert [part.reach for part in one.parts] == [7, 11]
    torch.testing.assert_close(one(MIXTURE), ensemble(MIXTURE)[:, 1:])


def test_alike_members_are_one_network_too():
    ensemble = Ensemble(members(3, 7), [1, 3])
    fused = ensemble.fused()
    assert isinstance(fused, CombinedSeparator)
    torch.testing.assert_close(fused(MIXTURE), ensemble(MIXTURE))
    with pytest.raises(UsageError, match="average"):
        Ensemble(members(3, 7), method="max").fused()
    with pytest.raises(UsageError, match="sample_rate"):
        Ensemble([*members(3), *members(7, sample_rate=6000)]).fused()


def test_another_ensemble_is_another_model():
    parts = members(3, 7)
    same = [Ensemble(parts), Ensemble(members(3, 7)), Ensemble(parts, [1, 1])]
    others = [
        Ensemble(parts, [1, 2]),
        Ensemble(parts, method="max"),
        Ensemble(members(3, 8)),
        Ensemble(parts[::-1]),
        Ensemble(parts[:1]),
        Chain([ChainStep(parts[0])]),
        parts[0],
    ]
    assert len({model_hash(ensemble) for ensemble in same}) == 1
    assert len({model_hash(ensemble) for ensemble in [*same, *others]}) == 1 + len(others)


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ([], {}, "at least one"),
        ([Smoother(), Swapping()], {}, "order"),
        ([Smoother()], {"weights": [1, 1]}, "2 weights"),
        ([Smoother()], {"weights": [{"vocals": 1}]}, "model 1 has no stem 'vocals'"),
        ([Smoother()], {"weights": [{"smooth": 1}]}, "no model of the ensemble has a weight for 'rough'"),
        ([Smoother()], {"weights": [-1]}, "0 or more"),
        ([Smoother()], {"weights": [float("nan")]}, "0 or more"),
        ([Smoother()], {"method": "mean"}, "there is no method 'mean'"),
        ([Smoother()], {"method": {"vocals": "max"}}, "no stem 'vocals'"),
    ],
)
def test_ensembles_that_make_no_sense_are_refused(parts, options, message):
    with pytest.raises(UsageError, match=message):
        Ensemble(parts, **options)
