from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.separators import Chunking, separate_blocks, separate_chunked
from toy_separators import Smoother, Swapping


class Widened(Smoother):
    """A separator that wants chunks widened: to a grid, or all to one length."""

    def __init__(self, *, length: int = 100, to: str = "grid", **kwargs) -> None:
        super().__init__(**kwargs)
        self.length, self.to = length, to

    @property
    def chunk_edges(self) -> str:
        return "centered"

    @property
    def chunk_length(self) -> int:
        return self.length

    def input_length(self, samples: int) -> int:
        if self.to == "one" and samples > self.length:
            raise UsageError(f"chunks of at most {self.length} samples")
        return {"grid": -(-samples // 37) * 37, "one": self.length, "none": samples}[self.to]


def as_demucs(separator, mixture, overlap, power):
    """All chunks one after the other, as the published code cuts and weights them."""
    length, samples = separator.chunk_length, mixture.shape[-1]
    step = int((1 - overlap) * length)
    up, down = torch.arange(1, length // 2 + 1), torch.arange(length - length // 2, 0, -1)
    weights = torch.cat([up, down]).double()
    weights = (weights / weights.max()) ** power
    total, weight = torch.zeros(1, 2, 1, samples), torch.zeros(samples, dtype=torch.float64)
    for offset in range(0, samples, step):
        core = min(length, samples - offset)
        wide = separator.input_length(core)
        left = (wide - core) // 2
        padded = torch.nn.functional.pad(mixture, (wide, wide))
        chunk = padded[..., wide + offset - left :][..., :wide]
        total[..., offset : offset + core] += (
            separator.estimate(chunk)[..., left:][..., :core] * weights[:core]
        )
        weight[offset : offset + core] += weights[:core]
    return total / weight


def noise(samples: int, channels: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, channels, samples, generator=torch.Generator().manual_seed(seed))


@given(samples=st.integers(1, 1500), reach=st.integers(0, 30), overlap=st.sampled_from([None, 0.4, 0.5]))
def test_chunks_that_overlap_by_the_receptive_field_give_the_whole_track(samples, reach, overlap):
    separator = Smoother(reach=reach)
    mixture = noise(samples)
    chunked = separate_chunked(separator, mixture, Chunking.of(separator, overlap=overlap))
    torch.testing.assert_close(chunked, separator(mixture), atol=1e-5, rtol=0)


@given(samples=st.integers(1, 900), length=st.integers(40, 300), overlap=st.floats(0, 0.5))
@pytest.mark.parametrize("edges", ["signal", "padded", "zeros"])
def test_what_needs_no_context_is_exact_however_it_is_cut(edges, samples, length, overlap):
    separator = Smoother(reach=0)
    plan = Chunking.of(separator, length=length, overlap=overlap)
    plan = Chunking(plan.length, plan.overlap, plan.trim, edges)
    mixture = noise(samples)
    torch.testing.assert_close(
        separate_chunked(separator, mixture, plan), separator(mixture), atol=1e-6, rtol=0
    )


@given(samples=st.integers(1, 1200), block=st.integers(1, 400), batch_size=st.integers(1, 4))
@pytest.mark.parametrize("edges", ["signal", "padded", "zeros"])
def test_the_reader_s_block_size_changes_no_bit(edges, samples, block, batch_size):
    separator = Smoother(bias=0.1)
    plan = Chunking(length=120, overlap=20, trim=5, edges=edges)
    mixture = noise(samples)

    def separate(blocks):
        parts = separate_blocks(separator.estimate, blocks, plan, batch_size=batch_size)
        return torch.cat(list(parts), dim=-1)

    whole = separate([mixture])
    assert whole.shape[-1] == samples
    assert torch.equal(separate(mixture.split(block, dim=-1)), whole)


def test_chunks_see_zeros_instead_of_neighbours_on_request():
    separator = Smoother(reach=10)
    mixture = torch.ones(1, 1, 300)
    plan = Chunking(length=120, trim=10, edges="zeros")
    estimates = separate_chunked(separator, mixture, plan)
    first = separator(torch.nn.functional.pad(mixture[..., :100], (10, 10)))[..., 10:-10]
    assert torch.equal(estimates[..., :100], first)
    assert not torch.allclose(estimates, separator(mixture))


def test_chunks_begin_on_the_grid():
    starts = []
    separator = Smoother(stride=16)
    mixture = torch.arange(2000.0)[None, None]

    def estimate(chunk):
        starts.append(int(chunk[0, 0, 0]))
        return separator.estimate(chunk)

    separate_chunked(estimate, mixture, Chunking.of(separator))
    assert len(starts) > 5
    assert all(start % 16 == 0 for start in starts)


def test_memory_is_bounded_by_the_chunk():
    plan = Chunking(length=100, overlap=20, trim=5)
    ahead = 0

    def blocks():
        nonlocal ahead
        for index in range(1000):
            ahead += 10
            yield noise(10, seed=index)

    for part in separate_blocks(Smoother().estimate, blocks(), plan, batch_size=2):
        ahead -= part.shape[-1]
        assert ahead <= 3 * plan.length


@given(samples=st.integers(600, 3000))
def test_sources_without_an_order_keep_theirs_across_chunks(samples):
    separator = Swapping(reach=5)
    mixture = noise(samples)
    chunked = separate_chunked(separator, mixture, Chunking.of(separator, overlap=0.3))
    separator.calls = 0
    torch.testing.assert_close(chunked, separator(mixture), atol=1e-5, rtol=0)
    assert separator.calls == 1


@pytest.mark.parametrize("overlap", [-0.1, 0.6, float("nan")])
def test_an_impossible_overlap_is_refused(overlap):
    with pytest.raises(UsageError, match="overlap"):
        Chunking.of(Smoother(), overlap=overlap)


def test_a_chunk_shorter_than_the_grid_is_refused():
    with pytest.raises(UsageError, match="too short"):
        Chunking.of(Smoother(stride=500), length=300)


def test_chunks_without_a_core_are_refused():
    with pytest.raises(UsageError, match="longer chunks"):
        Chunking(length=100, overlap=40, trim=30)


@given(samples=st.integers(1, 700), length=st.integers(41, 160), overlap=st.sampled_from([0.1, 0.25, 0.4]))
@pytest.mark.parametrize("to", ["grid", "one", "none"])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_centred_chunks_are_those_of_demucs(samples, length, overlap, to, power):
    # A bias at the edges shows which context each sample had.
    separator = Widened(length=length, to=to, reach=20, bias=0.1)
    mixture = noise(samples)
    chunking = replace(Chunking.of(separator, overlap=overlap), power=power)
    chunked = separate_chunked(separator, mixture, chunking)
    expected = as_demucs(separator, mixture, overlap, power)
    torch.testing.assert_close(chunked, expected.float(), atol=2e-6, rtol=0)


@given(samples=st.integers(1, 900), block=st.integers(1, 300), batch_size=st.integers(1, 3))
@pytest.mark.parametrize("to", ["grid", "one", "none"])
def test_centred_chunks_do_not_depend_on_the_blocks(samples, block, batch_size, to):
    separator = Widened(length=101, to=to, bias=0.1)
    plan, mixture = Chunking.of(separator, overlap=0.5), noise(samples)

    def separate(blocks):
        parts = separate_blocks(separator.estimate, blocks, plan, batch_size=batch_size)
        return torch.cat(list(parts), dim=-1)

    whole = separate([mixture])
    assert whole.shape[-1] == samples
    assert torch.equal(separate(mixture.split(block, dim=-1)), whole)


@pytest.mark.parametrize("to", ["grid", "one", "none"])
def test_a_chunking_says_what_the_separator_sees(to):
    separator = Widened(length=100, to=to)
    chunking = Chunking.of(separator)
    for samples in (1, 60, 100, 130, 175, 500):
        lengths = []

        def estimate(mixture):
            lengths.append(mixture.shape[-1])  # noqa: B023
            return separator.estimate(mixture)

        separate_chunked(estimate, noise(samples), chunking)
        assert len(lengths) == chunking.count(samples)
        assert lengths[-1] == chunking.last(samples)
        assert max(lengths) == chunking.longest_input(samples)


def test_centred_chunks_take_bounded_memory_and_come_as_soon_as_nothing_touches_them():
    separator = Widened(length=100, to="grid")
    chunking, ahead = Chunking.of(separator), 0

    def blocks():
        nonlocal ahead
        for index in range(500):
            ahead += 10
            yield noise(10, seed=index)

    for part in separate_blocks(separator.estimate, blocks(), chunking):
        ahead -= part.shape[-1]
        assert ahead <= 2 * chunking.input_length


def test_a_chunk_longer_than_the_separator_takes_is_refused():
    with pytest.raises(UsageError, match="at most 100"):
        Chunking.of(Widened(length=100, to="one"), length=101)
