"""xumx-sliCQ against the recorded outputs of its authors' code."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from reference_vectors import ReferenceVector, assert_near
from replays import from_reference
from replays.xumx_slicq import handles
from soloist.errors import ModelError
from soloist.networks import BlockShape
from soloist.transforms import SliCQ
from soloist.zoo.importers.xumx_slicq import SOURCES, by_block, make_network


@pytest.fixture
def vector(shared):
    return lambda name: ReferenceVector(shared / "reference" / "slicq" / f"{name}.npz")


@pytest.mark.parametrize("name", ["net_cdae", "net_bilstm"])
def test_networks(vector, name):
    case = vector(name)
    outputs = case.run()
    expected = case.named("output")
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        assert_near(outputs[key], value, 1e-5)


@pytest.mark.parametrize("name", ["block_cdae_f12_t104", "block_cdae_f1_t28"])
def test_blocks(vector, name):
    case = vector(name)
    assert_near(case.run(), case["output"], 1e-5)


@pytest.mark.parametrize("name", ["bark", "bark_matrixform", "cqlog", "flagship_bark262", "mel", "vqlog"])
def test_transforms(vector, name):
    case = vector(f"transform_{name}")
    blocks, expected = case.run(), case.named("output")
    assert blocks.keys() == expected.keys()
    peak = max(block.abs().max().item() for block in expected.values())
    for name, block in expected.items():
        assert_close(blocks[name], block, rtol=0, atol=2e-5 * peak)


def test_overlap_add(vector):
    case = vector("overlap_add")
    spectrograms, expected = case.run(), case.named("output")
    assert spectrograms.keys() == expected.keys()
    for name, spectrogram in expected.items():
        assert_near(spectrograms[name], spectrogram, 1e-6)


def test_the_mixture_s_phase(vector):
    case = vector("phasemix")
    blocks, expected = case.run(case.listed("input"), case.listed("input_mag")), case.named("output")
    assert blocks.keys() == expected.keys()
    for name, block in expected.items():
        assert_near(blocks[name], block, 1e-6)


def test_wiener_filters(vector):
    case = vector("wiener_em")
    outputs = case.run(case["targets_spectrograms"], case["mix_stft"])
    expected = case.named("output")
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        # The original's single precision is as far from the exact result after two iterations.
        assert_near(outputs[key], value, 3e-5)


@pytest.mark.parametrize("name", ["separator_slicq_wiener", "separator_stft_wiener"])
def test_what_is_around_the_networks(vector, name):
    case = vector(name)
    assert_near(case.run(case["input"], case.named("input_mag")), case["output"], 1e-4)


def test_losses_are_not_this_importer_s(vector):
    assert not handles(vector("loss").config)
    assert not handles({"system": "another", "kind": "net"})


@pytest.mark.parametrize("on_frames", [False, True])
def test_the_mixture_of_the_original_sounds_where_it_is_silent(on_frames):
    """The original writes ones over zeros, and its filter gives each source a share of the ones."""
    options = {"scale": "bark", "fbins": 5, "fmin": 1000.0, "fs": 8000, "niter": 1, "softmask": False}
    frames = {"stft_wiener": on_frames, "n_fft": 256, "n_hop": 64, "wiener_win_len": 300}
    transform = SliCQ("bark", 5, 1000.0, sample_rate=8000, as_released=True)
    sizes = [0.1 * torch.rand_like(block.real) for block in transform(torch.zeros(1, 1, 900))]
    magnitudes = {f"{source}/{index}": size for source in SOURCES for index, size in enumerate(sizes)}
    config = {"system": "xumx-sliCQ v1", "kind": "separator", "args": options | frames}
    estimates = from_reference(config, {})(torch.zeros(1, 900), magnitudes)
    if on_frames:
        sound = torch.stft(transform.inverse(sizes_as_complex(sizes), 900)[0], **stft_options()).abs()
        shared = sound**2 / (1e-5 + 4 * sound**2)
        expected = torch.istft(shared + 0j, length=900, **stft_options(back=True))
    else:
        shares = [size**2 / (1e-5 + 4 * size**2) for size in sizes]
        expected = transform.inverse(sizes_as_complex(shares), 900)[0]
    assert expected.abs().max() > 0.01
    for estimate in estimates:
        assert_near(estimate, expected, 1e-4)


def sizes_as_complex(blocks):
    """Blocks with a phase of 0."""
    return [block + 0j for block in blocks]


def stft_options(back=False):
    """Options of the original's filter, which has no window."""
    options = {"n_fft": 256, "hop_length": 64, "window": torch.ones(256)}
    return options if back else options | {"return_complex": True}


def test_the_sources_side_by_side_are_the_sources_one_by_one(vector):
    """Networks that the replay runs one by one are one network in a separator."""
    case = vector("net_cdae")
    blocks = by_block(case.state)
    states = [[blocks[index][source] for source in SOURCES] for index in sorted(blocks)]
    shapes = [BlockShape(shape[2], shape[4]) for shape in case.config["args"]["jagged_shapes"]]
    mixture = case.listed("input")
    with torch.no_grad():
        masks = make_network(shapes, states, case.config["args"]["max_bin"])(mixture)
    for key, expected in case.named("output").items():
        source, index = key.split("/")
        assert_near(masks[int(index)][:, SOURCES.index(source)] * mixture[int(index)], expected, 2e-5)


def test_a_missing_option_is_named(vector):
    case = vector("net_cdae")
    del case.config["args"]["max_bin"]
    with pytest.raises(ModelError, match="max_bin"):
        case.run()


def test_a_missing_weight_is_named(vector):
    case = vector("net_cdae")
    del case.state["bucketed_unmixes_drums.2.cdae.6.weight"]
    with pytest.raises(ModelError, match=r"cdae\.6\.weight"):
        case.run()


def test_weights_of_another_size_are_refused_in_one_line(vector):
    case = vector("block_cdae_f1_t28")
    case.config["args"]["slicq_sample_shape"][2] = 3
    with pytest.raises(ModelError, match="do not fit") as caught:
        case.run()
    assert "\n" not in str(caught.value)
