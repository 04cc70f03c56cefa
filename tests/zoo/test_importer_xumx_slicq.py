"""Published checkpoints of xumx-sliCQ are recognised."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

import soloist
from soloist.errors import ModelError
from soloist.networks import BlockShape
from soloist.separators import build_separator
from soloist.transforms import SliCQ
from soloist.zoo import import_checkpoint
from soloist.zoo.importers import recognize


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
