"""Chunks of which several cover each sample: recorded runs of published programs, and properties."""

from __future__ import annotations

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

import soloist
from reference_vectors import ReferenceVector, assert_near
from replays.msst_cutting import demix, read_slices
from soloist.errors import UsageError
from soloist.separators import Chunking, Cutting, separate_blocks, separate_chunked
from soloist.zoo import import_checkpoint


def cut(length, overlaps, **options):
    step = length // overlaps
    return Chunking(length, length - step, edges="mirrored", **options)


def gain_by_place(chunk):
    """Estimate of one source that depends on the place in the chunk, and on all of its samples."""
    return (chunk * torch.linspace(0.5, 2, chunk.shape[-1]) + chunk.mean(-1, keepdim=True))[:, None]


@given(
    samples=st.integers(1, 300),
    length=st.integers(10, 80),
    overlaps=st.integers(2, 5),
    block=st.integers(1, 64),
    batch=st.integers(1, 4),
)
def test_samples_are_those_of_the_published_cut(samples, length, overlaps, block, batch):
    track = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    blocks = track[None].split(block, dim=-1)
    chunking = cut(length, overlaps)
    found = list(separate_blocks(gain_by_place, blocks, chunking, batch_size=batch))
    expected = demix(gain_by_place, track, length, overlaps, 1)
    # The original divides by zero at the first sample of chunks alone.
    assert_near(torch.cat(found, dim=-1)[0], expected, 1e-5)


@given(samples=st.integers(1, 300), length=st.integers(10, 80), overlaps=st.integers(1, 5))
def test_an_exact_separator_gives_the_track_back(samples, length, overlaps):
    track = torch.randn(1, 2, samples, generator=torch.Generator().manual_seed(samples))
    chunking, seen = cut(length, overlaps, padding=3), []

    def estimate(chunk):
        seen.append(chunk.shape[-1])
        return chunk[:, None]

    found = separate_chunked(estimate, track, chunking)
    assert_near(found[:, 0], track, 1e-6)
    assert set(seen) == {chunking.last(samples)} == {length + 3}
    assert len(seen) == chunking.count(samples)


def test_a_cutting_that_covers_nothing_is_refused():
    with pytest.raises(UsageError, match="cannot cover"):
        Cutting(100, 0)


@pytest.fixture
def separator_of(tmp_path):
    """Imports the model of a recorded run of a whole track."""

    def make(vector):
        arguments = vector.config["kwargs"]
        settings = arguments.get("config") or {**vector.config["yaml"], "model": arguments}
        torch.save(vector.state, tmp_path / "model.ckpt")
        (tmp_path / "model.yaml").write_text(yaml.safe_dump(settings))
        return soloist.load(import_checkpoint(tmp_path / "model.ckpt", tmp_path / "model"))

    return make


@pytest.mark.parametrize("name", ["roformer/demix_bs_8s", "roformer/demix_bs_short", "mdx23c/demix_8s"])
def test_recorded_tracks(shared, separator_of, name):
    vector = ReferenceVector(shared / "reference" / f"{name}.npz")
    separator = separator_of(vector)
    with torch.no_grad():
        estimates = separate_chunked(separator, vector["input"][None], Chunking.of(separator))[0]
    for key, values in read_slices(estimates, vector.config["slices"]).items():
        expected = vector[f"output/batch1/{key}"]
        assert_near(values.to(expected.dtype), expected, 1e-5)


def test_a_recorded_track_brought_to_unit_deviation(shared, separator_of):
    vector = ReferenceVector(shared / "reference/scnet/demix_normalised_4s.npz")
    separator, track = separator_of(vector), vector["input"][None]
    normalized, level = separator.normalize(track)
    with torch.no_grad():
        estimates = separate_chunked(separator, normalized, Chunking.of(separator))
    # The original gives its mean to every stem.
    restored = level.restore(estimates, 1.0)[0]
    for key, values in read_slices(restored, vector.config["slices"]).items():
        expected = vector[f"output/normalised/{key}"]
        assert_near(values.to(expected.dtype), expected, 2e-5)


def test_overlaps_may_be_chosen(shared, separator_of):
    separator = separator_of(ReferenceVector(shared / "reference/roformer/demix_bs_8s.npz"))
    usual = Chunking.of(separator)
    assert usual.length == separator.chunk_length
    assert Chunking.of(separator, overlap=0.75).step == usual.length // 4
    assert Chunking.of(separator, overlap=0).step == usual.length
    with pytest.raises(UsageError, match=r"0\.95"):
        Chunking.of(separator, overlap=0.97)
