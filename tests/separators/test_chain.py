"""Chains: steps in any order, stems that add up, and mistakes that are found before anything runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.inference import separate_stream
from soloist.separators import Chain, ChainStep, Ensemble
from soloist.separators.composite_separator import StoredPart
from toy_separators import Smoother

MIXTURE = 0.3 * torch.randn(1, 2, 12_000, generator=torch.Generator().manual_seed(0))


def smoother(reach: int, **kwargs) -> Smoother:
    return Smoother(reach=reach, channels=2, **kwargs)


def three_steps(**kwargs) -> Chain:
    """The rough part of the smooth part without its roughest; steps in no order."""
    return Chain(
        [
            ChainStep(smoother(40, **kwargs), "low", {"smooth": "lowest"}, rest="middle"),
            ChainStep(smoother(7), stems={"smooth": "low", "rough": "high"}),
            ChainStep(smoother(3), "high", {"rough": "hiss"}, rest="clear"),
        ]
    )


def stream(separator, mixture: torch.Tensor = MIXTURE, block: int = 1000, rate: int = 8000) -> torch.Tensor:
    """Estimates of a stream in blocks, as of a file."""
    blocks = (piece.numpy() for piece in mixture[0].split(block, dim=-1))
    pieces = [estimates for _, estimates in separate_stream(separator, blocks, rate)]
    return torch.from_numpy(np.concatenate(pieces, axis=-1))[None]


def test_a_step_takes_the_stem_of_another():
    chain = three_steps()
    assert chain.sources == ("lowest", "middle", "hiss", "clear")
    low, high = smoother(7)(MIXTURE).unbind(1)
    lowest, hiss = smoother(40)(low)[:, 0], smoother(3)(high)[:, 1]
    expected = torch.stack([lowest, low - lowest, hiss, high - hiss], dim=1)
    torch.testing.assert_close(chain(MIXTURE), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(stream(chain), expected, atol=1e-6, rtol=0)


@given(
    samples=st.integers(1, 3000), block=st.integers(1, 700), rates=st.tuples(*[st.integers(4000, 8000)] * 2)
)
def test_stems_of_partitions_partition_the_mixture(samples, block, rates):
    chain = Chain(
        [
            ChainStep(smoother(7, sample_rate=8000), stems={"smooth": "low", "rough": "high"}),
            ChainStep(smoother(9, sample_rate=rates[0]), "low", {"smooth": "lowest"}, rest="middle"),
            ChainStep(smoother(3, sample_rate=rates[1]), "high", {"rough": "hiss"}, rest="clear"),
        ]
    )
    mixture = MIXTURE[..., :samples]
    found = stream(chain, mixture, max(block, samples // 50))
    torch.testing.assert_close(found.sum(1), mixture, atol=1e-6, rtol=0)
    torch.testing.assert_close(found, chain(mixture), atol=1e-6, rtol=0)


@given(rate=st.integers(8001, 20000), samples=st.integers(1, 5000), block=st.integers(1, 900))
def test_partitions_add_up_above_the_rate_of_the_models(rate, samples, block):
    chain = Chain(
        [
            ChainStep(smoother(7, sample_rate=8000), stems={"smooth": "low"}, rest="high"),
            ChainStep(smoother(3, sample_rate=6000), "high", {"rough": "hiss"}, rest="clear"),
        ]
    )
    mixture = MIXTURE[..., :samples]
    estimates = stream(chain, mixture, block, rate)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)
    alone = stream(chain.only(["clear"]), mixture, block, rate)
    torch.testing.assert_close(alone[:, 0], estimates[:, 2], atol=1e-6, rtol=0)
    assert chain.only(["hiss"]).remainder is None


def test_outputs_are_chosen_and_may_be_taken_by_steps():
    steps = [
        ChainStep(smoother(7), stems={"smooth": "low"}, rest="high"),
        ChainStep(smoother(40), "low", {"smooth": "lowest"}),
    ]
    chain = Chain(steps, ["lowest", "low"])
    low = smoother(7)(MIXTURE)[:, 0]
    torch.testing.assert_close(chain(MIXTURE)[:, 1], low)
    assert Chain(steps).sources == ("high", "lowest")


@pytest.mark.parametrize(
    ("stem", "reaches"), [("lowest", [7, 40]), ("middle", [7, 40]), ("hiss", [7, 3]), ("clear", [7, 3])]
)
def test_one_stem_runs_only_the_steps_that_it_is_made_by(stem, reaches):
    chain = three_steps()
    one = chain.only([stem])
    assert one.sources == (stem,)
    assert [part.reach for part in one.parts] == reaches
    expected = chain(MIXTURE)[:, chain.sources.index(stem)][:, None]
    torch.testing.assert_close(one(MIXTURE), expected)


def test_a_stem_is_normalised_by_the_level_of_its_whole():
    chain = three_steps(normalization="track", bias=0.1)
    assert chain.one_by_one
    assert not chain.measures_track
    assert not three_steps().one_by_one
    torch.testing.assert_close(stream(chain), chain(MIXTURE), atol=1e-6, rtol=0)


def test_parts_on_disk_are_loaded_one_after_the_other_and_separate_the_same():
    chain, expected = three_steps(), stream(three_steps())
    log: list[str] = []

    def load(reach: int) -> Smoother:
        log.append(f"load {reach}")
        return smoother(reach)

    for place, part in enumerate(chain.parts):
        chain.stored[place] = StoredPart(lambda reach=part.reach: load(reach), str(place))
        part.to("meta")
    torch.testing.assert_close(stream(chain), expected)
    # In the order of the streams, and each once.
    assert log == ["load 7", "load 40", "load 3"]
    torch.testing.assert_close(stream(chain.only(["middle"])), expected[:, 1:2])


def test_a_step_may_be_an_ensemble_and_an_ensemble_may_have_a_chain():
    ensemble = Ensemble([smoother(3), smoother(9, sample_rate=6000)])
    chain = Chain(
        [
            ChainStep(smoother(7), stems={"smooth": "low", "rough": "high"}),
            ChainStep(ensemble, "low", {"smooth": "lowest"}, rest="middle"),
        ]
    )
    both = Ensemble([chain, Chain([ChainStep(smoother(5), stems={"rough": "high"})])])
    found = both(MIXTURE)
    assert both.sources == ("high", "lowest", "middle")
    torch.testing.assert_close(stream(both), found, atol=1e-6, rtol=0)
    torch.testing.assert_close(found[:, 1:], chain(MIXTURE)[:, 1:], atol=1e-6, rtol=0)


LOW = ChainStep(Smoother(), stems={"smooth": "low", "rough": "high"})


@pytest.mark.parametrize(
    ("steps", "outputs", "message"),
    [
        ([], None, "at least one step"),
        (
            [LOW, ChainStep(Smoother(), "vocals")],
            None,
            "takes 'vocals', which no step makes; there are mixture, low",
        ),
        (
            [LOW, ChainStep(Smoother(), "low", {"vocals": "v"})],
            None,
            "no stem 'vocals'; it has smooth, rough",
        ),
        ([ChainStep(Smoother(), "rough")], None, "wait for each other"),
        (
            [ChainStep(Smoother(), "b", {"smooth": "a"}), ChainStep(Smoother(), "a", {"smooth": "b"})],
            None,
            "wait for each other's stems: Smoother, Smoother",
        ),
        ([LOW, LOW], None, "'low', which is the name of a stem of Smoother"),
        ([ChainStep(Smoother(), stems={"smooth": "a"}, rest="a")], None, "'a', which is the name"),
        ([ChainStep(Smoother(), stems={"smooth": "mixture"})], None, "name of the mixture"),
        ([ChainStep(Smoother(), stems={})], None, "names no stem"),
        ([LOW], ["middle"], "no stem 'middle' to put out; it has low, high"),
        ([LOW], ["low", "low"], "distinct"),
        ([LOW], [], "at least one"),
    ],
)
def test_mistakes_are_named_in_one_line(steps, outputs, message):
    with pytest.raises(UsageError, match=message) as caught:
        Chain(steps, outputs)
    assert "\n" not in str(caught.value)
