"""The sliCQ against values of the published implementation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from soloist.transforms import SliCQ, make_scale, overlap_slices

SCALES = {"bark": "bark", "mel": "mel", "cqlog": "constant-q", "vqlog": "variable-q"}
CASES = ["bark", "mel", "cqlog", "vqlog", "flagship_bark262", "bark_matrixform"]


def complex_blocks(vectors, name="output"):
    """The blocks of a file as complex tensors."""
    count = sum(key.startswith(f"{name}/") for key in vectors.files)
    return [torch.view_as_complex(torch.from_numpy(vectors[f"{name}/{index}"])) for index in range(count)]


@pytest.fixture(params=CASES)
def case(shared, request):
    """The vectors of a setting, and the transform with that setting."""
    vectors = np.load(shared / f"reference/slicq/transform_{request.param}.npz")
    arguments = json.loads(str(vectors["config"]))["args"]
    slicq = SliCQ(
        SCALES[arguments["scale"]],
        arguments["fbins"],
        arguments["fmin"],
        gamma=arguments["gamma"],
        sample_rate=arguments["fs"],
        form="matrix" if arguments["matrixform"] else "ragged",
    )
    return vectors, slicq


def test_coefficients(case):
    vectors, slicq = case
    expected = complex_blocks(vectors)
    blocks = slicq(torch.from_numpy(vectors["input"])[None])
    peak = max(block.abs().max() for block in expected)
    for block, values in zip(blocks, expected, strict=True):
        torch.testing.assert_close(block, values, atol=2e-5 * float(peak), rtol=0)


def test_plan(case):
    vectors, slicq = case
    assert slicq.slice_length == int(vectors["mid/sl_len"])
    assert slicq.transition == int(vectors["mid/tr_area"])
    widths = [block.width for block in slicq.blocks for _ in range(block.bins)]
    assert widths == vectors["mid/M"].tolist()


def test_scale_to_the_last_bit(case):
    """Whether the last bin lies below half the sample rate, and how long slices are, hangs on it."""
    vectors, _ = case
    arguments = json.loads(str(vectors["config"]))["args"]
    scale = make_scale(
        SCALES[arguments["scale"]],
        arguments["fbins"],
        arguments["fmin"],
        arguments["fs"],
        gamma=arguments["gamma"],
        as_released=True,
    )
    kept = len(scale.frequencies)
    assert np.array_equal(scale.frequencies, vectors["mid/frqs"][:kept])
    assert np.array_equal(scale.qualities, vectors["mid/q"][:kept])


def test_reconstruction(case):
    vectors, slicq = case
    audio = torch.from_numpy(vectors["input"])[None]
    samples = audio.shape[-1]
    restored = slicq.inverse(complex_blocks(vectors), samples)
    torch.testing.assert_close(restored, audio, atol=1e-5 * float(audio.abs().max()), rtol=0)


def test_overlapping_slices(shared):
    vectors = np.load(shared / "reference/slicq/overlap_add.npz")
    for index in range(3):
        added = overlap_slices(torch.from_numpy(vectors[f"input/{index}"]))
        torch.testing.assert_close(added, torch.from_numpy(vectors[f"output/{index}"]))


def test_the_published_setting(shared):
    table = json.loads((shared / "reference/slicq/complexity.json").read_text())
    slicq = SliCQ("bark", 262, 32.9)
    assert (slicq.slice_length, slicq.transition, len(slicq.frequencies)) == (18060, 4516, 263)
    assert len(slicq.blocks) == table["config"]["n_blocks"] == 70
    published = [(row["first_bin"], row["nb_f"], row["nb_t"]) for row in table["blocks_per_target"]]
    assert [(block.first_bin, block.bins, block.width) for block in slicq.blocks] == published
    assert sum(block.bins * block.width for block in slicq.blocks) == 18640
