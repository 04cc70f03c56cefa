"""xumx-sliCQ against what its authors' code computed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import soloist
from soloist.errors import ModelError
from soloist.networks import BlockShape
from soloist.separators import build_separator
from soloist.transforms import SliCQ
from soloist.zoo import import_checkpoint
from soloist.zoo.importers import from_reference, recognize
from soloist.zoo.importers.xumx_slicq import SOURCES, _by_block, _network, handles


class Vector:
    """A stored case: configuration, weights, inputs and outputs."""

    def __init__(self, path):
        with np.load(path) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
        self.config = json.loads(str(arrays.pop("config")))
        self.arrays = {name: torch.from_numpy(value) for name, value in arrays.items()}
        self.state = self.named("state")

    def __getitem__(self, name):
        return self.arrays[name]

    def named(self, group):
        """What is in a group, by the rest of its name."""
        return {
            name[len(group) + 1 :]: value
            for name, value in self.arrays.items()
            if name.startswith(f"{group}/")
        }

    def listed(self, group):
        """What is in a group, by numbers."""
        values = self.named(group)
        return [values[str(index)] for index in range(len(values))]

    def run(self, *inputs):
        return from_reference(self.config, self.state)(*inputs)


@pytest.fixture
def vector(shared):
    return lambda name: Vector(shared / "reference" / "slicq" / f"{name}.npz")


def near(actual, expected, tolerance):
    """Equal but for a part of the peak."""
    assert_close(actual, expected, rtol=0, atol=tolerance * expected.abs().max().item())


@pytest.mark.parametrize("name", ["net_cdae", "net_bilstm"])
def test_networks(vector, name):
    case = vector(name)
    outputs = case.run(case.listed("input"))
    expected = case.named("output")
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        near(outputs[key], value, 1e-5)


@pytest.mark.parametrize("name", ["block_cdae_f12_t104", "block_cdae_f1_t28"])
def test_blocks(vector, name):
    case = vector(name)
    near(case.run(case["input"]), case["output"], 1e-5)


@pytest.mark.parametrize("name", ["bark", "bark_matrixform", "cqlog", "flagship_bark262", "mel", "vqlog"])
def test_transforms(vector, name):
    case = vector(f"transform_{name}")
    blocks = case.run(case["input"])
    assert len(blocks) == len(case.named("output"))
    peak = max(block.abs().max().item() for block in case.listed("output"))
    for block, expected in zip(blocks, case.listed("output"), strict=True):
        assert_close(block, expected, rtol=0, atol=2e-5 * peak)


def test_overlap_add(vector):
    case = vector("overlap_add")
    for spectrogram, expected in zip(case.run(case.listed("input")), case.listed("output"), strict=True):
        near(spectrogram, expected, 1e-6)


def test_the_mixture_s_phase(vector):
    case = vector("phasemix")
    blocks = case.run(case.listed("input"), case.listed("input_mag"))
    for block, expected in zip(blocks, case.listed("output"), strict=True):
        near(block, expected, 1e-6)


def test_wiener_filters(vector):
    case = vector("wiener_em")
    outputs = case.run(case["targets_spectrograms"], case["mix_stft"])
    expected = case.named("output")
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        # The original computes in single precision: with two iterations it is itself as far from the truth.
        near(outputs[key], value, 3e-5)


@pytest.mark.parametrize("name", ["separator_slicq_wiener", "separator_stft_wiener"])
def test_what_is_around_the_networks(vector, name):
    case = vector(name)
    near(case.run(case["input"], case.named("input_mag")), case["output"], 1e-4)


def test_losses_are_not_this_importer_s(vector):
    assert not handles(vector("loss").config)
    assert not handles({"system": "another", "kind": "net"})


@pytest.mark.parametrize("on_frames", [False, True])
def test_the_mixture_of_the_original_sounds_where_it_is_silent(on_frames):
    """It writes ones over zeros, of which its filter gives each source its share."""
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
        near(estimate, expected, 1e-4)


def sizes_as_complex(blocks):
    """Blocks with a phase of 0."""
    return [block + 0j for block in blocks]


def stft_options(back=False):
    """Those of the original's filter: no window."""
    options = {"n_fft": 256, "hop_length": 64, "window": torch.ones(256)}
    return options if back else options | {"return_complex": True}


def test_the_sources_side_by_side_are_the_sources_one_by_one(vector):
    """What the importer runs one by one is one network in a separator."""
    case = vector("net_cdae")
    blocks = _by_block(case.state)
    states = [[blocks[index][source] for source in SOURCES] for index in sorted(blocks)]
    shapes = [BlockShape(shape[2], shape[4]) for shape in case.config["args"]["jagged_shapes"]]
    mixture = case.listed("input")
    with torch.no_grad():
        masks = _network(shapes, states, case.config)(mixture)
    for key, expected in case.named("output").items():
        source, index = key.split("/")
        near(masks[int(index)][:, SOURCES.index(source)] * mixture[int(index)], expected, 2e-5)


def test_a_missing_option_is_named(vector):
    case = vector("net_cdae")
    del case.config["args"]["max_bin"]
    with pytest.raises(ModelError, match="max_bin"):
        case.run(case.listed("input"))


def test_a_missing_weight_is_named(vector):
    case = vector("net_cdae")
    del case.state["bucketed_unmixes_drums.2.cdae.6.weight"]
    with pytest.raises(ModelError, match=r"cdae\.6\.weight"):
        case.run(case.listed("input"))


def test_weights_of_another_size_are_refused_in_one_line(vector):
    case = vector("block_cdae_f1_t28")
    case.config["args"]["slicq_sample_shape"][2] = 3
    with pytest.raises(ModelError, match="do not fit") as caught:
        case.run(case["input"])
    assert "\n" not in str(caught.value)


def published_state():
    """The names and shapes of a published checkpoint, filled with small numbers."""
    torch.manual_seed(0)
    state = {}
    for index, block in enumerate(SliCQ().blocks[:51]):
        kernel = BlockShape(block.bins, block.width).kernel
        shapes = {"0": (4, 2), "3": (5, 4), "6": (5, 4), "9": (4, 2)}
        for source in ("vocals", "bass", "drums", "other"):
            prefix = f"bucketed_unmixes_{source}.{index}."
            state[f"{prefix}input_mean"] = torch.zeros(block.bins)
            state[f"{prefix}input_scale"] = torch.ones(block.bins)
            for place, shape in shapes.items():
                state[f"{prefix}cdae.{place}.weight"] = 0.1 * torch.randn(*shape, *kernel)
            for place, width in (("1", 4), ("4", 5), ("7", 4), ("10", 2)):
                for part in ("weight", "bias", "running_mean", "running_var"):
                    state[f"{prefix}cdae.{place}.{part}"] = torch.rand(width)
                state[f"{prefix}cdae.{place}.num_batches_tracked"] = torch.tensor(7)
            state[f"{prefix}cdae.12.weight"] = torch.randn(2, 2, 1, 3)
            state[f"{prefix}cdae.12.bias"] = torch.zeros(2)
    return state


def test_a_checkpoint_becomes_a_model(tmp_path):
    state = published_state()
    found = recognize(state)
    assert found.card["sources"] == ["bass", "vocals", "other", "drums"]
    torch.save(state, tmp_path / "xumx.pth")
    separator = soloist.load(import_checkpoint(tmp_path / "xumx.pth", tmp_path / "model"))
    mixture = 0.1 * torch.randn(1, 2, 20_000)
    with torch.no_grad():
        assert_close(separator(mixture), found.separator(mixture), atol=1e-5, rtol=0)
    again = build_separator(found.config, "again")
    assert again.network.blocks[0].as_released
    assert again.network.blocks[0].layers[1].conv.weight.shape[:2] == (20, 4)


def test_a_checkpoint_on_another_transform_is_refused():
    state = published_state()
    for name in [name for name in state if ".50." in name]:
        del state[name]
    with pytest.raises(ModelError, match="50 blocks of the checkpoint are not the first of bark"):
        recognize(state)


def test_an_incomplete_checkpoint_is_named():
    state = published_state()
    del state["bucketed_unmixes_drums.3.cdae.9.weight"]
    with pytest.raises(ModelError, match=r"cdae\.9\.weight"):
        recognize(state)


def test_other_state_dicts_are_not_recognized():
    assert recognize({"encoder.weight": torch.zeros(3, 1, 21)}) is None
