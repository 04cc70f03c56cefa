"""Counts of operations against formulas written by hand."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn

from soloist.profiling import count_operations
from soloist.profiling.subjects import load_subject

BATCH, STEPS = 3, 12


def frames(samples: int, kernel: int, stride: int, padding: int) -> int:
    return (samples + 2 * padding - kernel) // stride + 1


LAYERS = {
    "convolution": (
        nn.Conv1d(4, 6, 5, stride=2, padding=2),
        (BATCH, 4, STEPS),
        2 * BATCH * 6 * 4 * 5 * frames(STEPS, 5, 2, 2),
    ),
    "grouped convolution": (
        nn.Conv1d(4, 8, 5, groups=4),
        (BATCH, 4, STEPS),
        2 * BATCH * 8 * 1 * 5 * frames(STEPS, 5, 1, 0),
    ),
    # Each frame of the input is spread over the kernel.
    "transposed convolution": (
        nn.ConvTranspose1d(6, 4, 7, stride=3),
        (BATCH, 6, STEPS),
        2 * BATCH * STEPS * 6 * 4 * 7,
    ),
    "grouped transposed convolution": (
        nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2),
        (BATCH, 6, STEPS, 2),
        2 * BATCH * STEPS * 2 * 6 * (4 // 2) * 9,
    ),
    "linear": (nn.Linear(7, 9), (BATCH, STEPS, 7), 2 * BATCH * STEPS * 7 * 9),
    # Four gates, each with a matrix for the input and one for the state.
    "LSTM": (nn.LSTM(8, 16), (STEPS, BATCH, 8), 2 * BATCH * STEPS * 4 * 16 * (8 + 16)),
    "LSTM of two layers and directions": (
        nn.LSTM(8, 16, 2, bidirectional=True, batch_first=True),
        (BATCH, STEPS, 8),
        2 * BATCH * STEPS * 2 * 4 * 16 * ((8 + 16) + (32 + 16)),
    ),
    "GRU": (nn.GRU(8, 16, bias=False), (STEPS, BATCH, 8), 2 * BATCH * STEPS * 3 * 16 * (8 + 16)),
    "normalisation": (nn.GroupNorm(1, 4), (BATCH, 4, STEPS), 0),
}
MODES = {"training": torch.enable_grad, "no gradients": torch.no_grad, "inference": torch.inference_mode}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, device, mode):
    layer, shape, expected = LAYERS[name]
    layer = copy.deepcopy(layer).to(device)
    with MODES[mode]():
        assert count_operations(lambda: layer(torch.zeros(shape, device=device))) == expected


def test_recurrent_layers_as_cuda_runs_them():
    """All layers and directions of an LSTM are one operation there."""

    def run() -> None:
        weights = []
        for inputs in (8, 8, 32, 32):
            weights += [torch.zeros(64, inputs), torch.zeros(64, 16), torch.zeros(64), torch.zeros(64)]
        state = torch.zeros(4, BATCH, 16)
        x, lstm = torch.zeros(STEPS, BATCH, 8), 2
        torch.ops.aten._cudnn_rnn(
            x, weights, 4, None, state, state.clone(), lstm, 16, 0, 2, False, 0.0, False, True, [], None
        )

    expected = LAYERS["LSTM of two layers and directions"][2]
    with torch.device("meta"):
        assert count_operations(run) == expected


def test_attention_is_counted_and_transforms_are_not():
    query, key, value = torch.zeros(2, 4, 10, 8), torch.zeros(2, 4, 12, 8), torch.zeros(2, 4, 12, 6)
    scores = 2 * 2 * 4 * 10 * 12 * (8 + 6)
    attention = nn.functional.scaled_dot_product_attention
    assert count_operations(lambda: attention(query, key, value)) == scores
    assert count_operations(lambda: torch.fft.rfft(torch.zeros(4, 512))) == 0


def test_nothing_stays_from_one_count_to_the_next():
    layer = nn.Linear(3, 5)
    assert {count_operations(lambda: layer(torch.zeros(7, 3))) for _ in range(3)} == {2 * 7 * 3 * 5}


def test_the_published_operations_of_xumx_slicq(shared):
    published = json.loads((shared / "reference/slicq/complexity.json").read_text())["cdae_bandwidth16k"]
    subject = load_subject("xumx-slicq-musdb18hq")
    separator = subject.separator
    with torch.no_grad():
        mixed = separator.transform(torch.zeros(1, 2, 44100))
        operations = count_operations(lambda: separator.estimate_masks(mixed))
    assert operations == 2 * published["macs_1s_stereo_batch1_all4targets"]
    assert subject.facts.parameters == published["trainable_parameters"]
