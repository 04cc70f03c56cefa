"""What exported files compute, run by the programs that they are for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from families import FAMILIES, SAMPLE_RATE, make_family
from soloist.errors import ExportError, UsageError
from soloist.estimation import WienerEM
from soloist.export.runtimes import open_onnx, open_openvino, open_torch_export, open_torchscript
from soloist.export.whole_separators import to_torch_export, to_torchscript
from soloist.inference.graphs.formats import onnx_to_openvino, to_onnx, to_openvino, write_onnx
from soloist.inference.graphs.whole_recurrences import whole_recurrences
from soloist.separators import HPSS

MIXTURES = [(1, 2400), (3, 1201), (2, 3007)]
"""Items and samples, none of them those of the example."""

KINDS = ["sudormrf-causal", "unet-tdc", "open-unmix", "xumx-slicq"]
"""A family of each kind that is exported whole: filterbank, spectrogram, recurrence, blocks."""


def noise(items, samples):
    return 0.1 * torch.randn(items, 1, samples, generator=torch.Generator().manual_seed(samples))


def assert_equal(output, expected, bound=1e-5):
    peak = expected.abs().max()
    assert peak > 1e-3
    assert output.shape == expected.shape
    assert (torch.from_numpy(np.array(output)) - expected).abs().max() <= bound * peak


@torch.no_grad()
def assert_runs_graph(run, separator, items, samples, bound=1e-5):
    inputs, _ = separator.stage(noise(items, samples))
    expected = separator.graph(*inputs)
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    outputs = run([tensor.contiguous().numpy() for tensor in inputs])
    for output, right in zip(outputs, expected, strict=True):
        assert_equal(output, right, bound)


@torch.no_grad()
def assert_runs_whole(run, separator, items, samples):
    mixture = noise(items, samples)
    assert_equal(run([mixture.numpy()])[0], separator(mixture))


BOUNDS = {"demask": 4e-5}
"""Largest error in parts of the peak, where a network divides by small deviations: else 1e-5."""


# The spectrogram's branch of one, and the waveform's of the other, are those of HTDemucs; the others are the
# same with fewer or other layers.
ALIKE = {
    *("hdemucs", "demucs", "bs-roformer", "scnet", "scnet-masked", "spectrogram-net", "sudormrf-original"),
    *("conv-tdf-net", "tfc-tdf-v3-batch", "unet-tfc", "complex-unet", "dual-path", "mask-inference"),
}
"""Families whose operations are those of others; all are exported by `make test-all`."""

EXPORTED = [pytest.param(name, marks=pytest.mark.nightly) if name in ALIKE else name for name in FAMILIES]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_networks_of_all_families(name, tmp_path):
    separator = make_family(name)
    signature = to_onnx(separator, tmp_path / "graph.onnx", length=900, free=())
    assert all(port.shape[0] == 1 and None not in port.shape for port in signature.inputs)
    bound = BOUNDS.get(name, 1e-5)
    assert_runs_graph(open_onnx(tmp_path / "graph.onnx"), separator, 1, 900, bound)
    onnx_to_openvino(tmp_path / "graph.onnx", tmp_path / "graph.xml")
    assert_runs_graph(open_openvino(tmp_path / "graph.xml"), separator, 1, 900, bound)


# Tests of the engines run graphs of any size of more families.
@pytest.mark.parametrize("name", ["unet-tdc", "clustering"])
def test_onnx_for_any_size(name, tmp_path):
    separator = make_family(name)
    signature = to_onnx(separator, tmp_path / "graph.onnx", length=2000)
    lengths = {"samples", "frames"}
    for port in (*signature.inputs, *signature.outputs):
        free = {axis for axis, size in zip(port.axes, port.shape, strict=True) if size is None}
        assert free == {"batch", *(lengths & {*port.axes})}
    run = open_onnx(tmp_path / "graph.onnx")
    for items, samples in MIXTURES:
        assert_runs_graph(run, separator, items, samples)


@pytest.mark.slow
def test_openvino_for_any_size(tmp_path):
    separator = make_family("open-unmix")
    to_openvino(separator, tmp_path / "graph.xml", length=2000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.bin", "graph.xml"]
    run = open_openvino(tmp_path / "graph.xml")
    for items, samples in MIXTURES:
        assert_runs_graph(run, separator, items, samples)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPORTED if name != "clustering"])
def test_torchscript_of_all_families(name, tmp_path):
    separator = make_family(name)
    to_torchscript(separator, tmp_path / "model.pt", length=2000)
    run = open_torchscript(tmp_path / "model.pt")
    for items, samples in MIXTURES:
        assert_runs_whole(run, separator, items, samples)


@pytest.mark.slow
def test_torch_export_for_any_size(tmp_path):
    separator = make_family("unet-tdc")
    to_torch_export(separator, tmp_path / "model.pt2", length=2000)
    run = open_torch_export(tmp_path / "model.pt2")
    for items, samples in MIXTURES:
        assert_runs_whole(run, separator, items, samples)


def test_torchscript_of_a_filter_in_windows(tmp_path):
    separator = make_family("open-unmix")
    separator.wiener = WienerEM(window=30)
    to_torchscript(separator, tmp_path / "model.pt", length=2000)
    run = open_torchscript(tmp_path / "model.pt")
    for items, samples in MIXTURES:
        assert_runs_whole(run, separator, items, samples)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_torch_export_for_one_size(name, tmp_path):
    separator = make_family(name)
    to_torch_export(separator, tmp_path / "model.pt2", length=900, free=())
    assert_runs_whole(open_torch_export(tmp_path / "model.pt2"), separator, 1, 900)


@pytest.mark.parametrize("write", [to_torchscript, to_torch_export])
def test_clusters_are_no_graph(write, tmp_path):
    with pytest.raises(UsageError, match="finds clusters"):
        write(make_family("clustering"), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_what_has_no_network_is_refused(tmp_path):
    with pytest.raises(UsageError, match="HPSS has no network"):
        to_onnx(HPSS(sample_rate=SAMPLE_RATE), tmp_path / "graph.onnx")


class OneLength(nn.Module):
    """A network whose weights are as many as its input has frames."""

    def __init__(self, frames):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(frames))

    def forward(self, spectrogram):
        return spectrogram * self.gain


class ByValue(nn.Module):
    """A network that decides by what it hears."""

    def forward(self, spectrogram):
        return spectrogram if spectrogram.mean() > 0 else -spectrogram


def test_a_length_that_is_not_free_is_said(tmp_path):
    inputs = [torch.rand(2, 1, 4, 7)]
    with pytest.raises(ExportError, match="one size of frames only"):
        write_onnx(OneLength(7), inputs, tmp_path / "graph.onnx", free=("batch", "length"))
    signature = write_onnx(OneLength(7), inputs, tmp_path / "graph.onnx", free=("batch",))
    assert signature.inputs[0].shape == (None, 1, 4, 7)


def test_what_cannot_be_captured_is_said_in_one_line(tmp_path, capfd):
    with pytest.raises(ExportError, match=r"torch\.export cannot export it: ") as raised:
        write_onnx(ByValue(), [torch.rand(2, 1, 4, 7)], tmp_path / "graph.onnx")
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_recurrences_are_afterwards_what_they_were():
    kernels = dict(torch.ops.aten.lstm.input.py_kernels)
    with whole_recurrences():
        assert torch.ops.aten.lstm.input.py_kernels != kernels
    assert torch.ops.aten.lstm.input.py_kernels == kernels
