"""Exports as folders: whole, checked, and described."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from torch import nn

from families import SAMPLE_RATE, make_family
from soloist.errors import ExportError, ModelError, UsageError
from soloist.export import export
from soloist.export.model_json import with_defaults
from soloist.export.runtimes import open_torchscript
from soloist.resources import is_captured
from soloist.separators import Separator
from soloist.zoo import Card, Licence

CONFIG = {
    "class_path": "soloist.separators.SpectralSeparator",
    "init_args": {
        "transform": {
            "class_path": "soloist.transforms.STFT",
            "init_args": {"n_fft": 64, "hop_length": 32},
        },
        "representation": "complex",
    },
}
CARD = Card(
    name="small",
    system="U-Net",
    title="Low and high",
    sources=("low", "high"),
    licence=Licence(weights="CC0"),
    citation="Somebody, 2020",
)


class Gain(Separator):
    """Two copies of the mixture; in a graph the second has a factor, which makes it wrong."""

    def __init__(self, factor=lambda mixture: 1.0, frames=None):
        super().__init__(sources=("low", "high"), sample_rate=SAMPLE_RATE, channels=1)
        self.inner = _Copies(factor, frames)

    @property
    def graph(self):
        return self.inner

    def stage(self, mixture):
        return (mixture,), lambda outputs: outputs[0]


class _Copies(nn.Module):
    def __init__(self, factor, samples):
        super().__init__()
        self.factor = factor
        self.gain = nn.Parameter(torch.full((1 if samples is None else samples,), 0.5))

    def forward(self, mixture):
        factor = self.factor(mixture) if is_captured() else 1.0
        return torch.stack([mixture * self.gain, mixture * factor], dim=1)


def export_small(folder, separator=None, to="torchscript", **options):
    return export(separator or make_family("unet-tdc"), CONFIG, CARD, folder, to, **options)


def test_an_export_says_what_it_is(tmp_path):
    stated = export_small(tmp_path / "a/small")
    folder = tmp_path / "a/small"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.json", "model.pt"]
    assert json.loads((folder / "model.json").read_text()) == json.loads(json.dumps(stated))
    assert stated["files"] == {"model.pt": hashlib.sha256((folder / "model.pt").read_bytes()).hexdigest()}
    assert stated["inputs"][0]["shape"] == (None, 1, None)
    assert stated["sources"] == ["low", "high"]
    assert stated["checked"]["difference"] < 1e-5
    assert {items for items, _ in stated["checked"]["mixtures"]} == {1, 3}
    assert len({samples for _, samples in stated["checked"]["mixtures"]}) == 3
    readme = (folder / "README.md").read_text()
    for needed in ("8000 Hz", "low, high", "CC0", "Somebody, 2020", "torch.jit.load('model.pt')"):
        assert needed in readme


def test_nothing_is_left_to_defaults():
    transform = with_defaults(CONFIG)["init_args"]["transform"]["init_args"]
    assert transform["hop_length"] == 32
    assert (transform["window"], transform["pad_mode"]) == ("hann", "reflect")


@pytest.mark.slow
def test_what_a_network_is_fed_with_is_explained(tmp_path):
    export_small(tmp_path / "small", to="onnx", chunk=0.1)
    readme = (tmp_path / "small/README.md").read_text()
    assert "real and the imaginary parts" in readme
    assert "'spectrogram': spectrogram" in readme
    assert "chunks of exactly 800 samples" in readme


def test_a_chunk_fixes_all_sizes(tmp_path):
    stated = export_small(tmp_path / "small", chunk=0.25)
    assert stated["inputs"][0]["shape"] == (1, 1, 2000)
    assert stated["length"] == 2000
    assert stated["checked"]["mixtures"] == ((1, 2000),)


def test_an_axis_that_cannot_be_free_is_fixed(tmp_path):
    frames = 10 * SAMPLE_RATE
    stated = export_small(tmp_path / "small", Gain(frames=frames).eval())
    assert stated["inputs"][0]["shape"] == (None, 1, frames)
    assert stated["length"] == frames
    run = open_torchscript(tmp_path / "small/model.pt")
    assert run([torch.ones(2, 1, frames).numpy()])[0].shape == (2, 2, 1, frames)


@pytest.mark.parametrize(
    ("factor", "difference"),
    [(lambda mixture: 1.001, "0.001"), (lambda mixture: torch.tensor(torch.nan), "inf")],
)
def test_an_export_that_computes_something_else_is_not_kept(tmp_path, factor, difference):
    with pytest.raises(
        ExportError, match=rf"small cannot be exported to TorchScript: .* differs by {difference} "
    ):
        export_small(tmp_path / "a/b/small", Gain(factor).eval())
    assert not list(tmp_path.iterdir())


def _as_far_as_the_example(mixture):
    """One for the samples that the example has, and two beyond."""
    return 1.0 + (torch.arange(mixture.shape[-1]) >= int(mixture.shape[-1]))


def test_a_length_is_not_free_beyond_which_a_file_is_wrong(tmp_path):
    stated = export_small(tmp_path / "small", Gain(_as_far_as_the_example).eval())
    assert stated["length"] == 10 * SAMPLE_RATE


def test_the_shortest_mixture_is_found_out(tmp_path):
    stated = export_small(tmp_path / "small")
    assert stated["length"] is None
    assert 1 < stated["minimum_length"] <= 64
    run = open_torchscript(tmp_path / "small/model.pt")
    mixture = torch.randn(1, 1, stated["minimum_length"])
    expected = make_family("unet-tdc")(mixture).detach()
    torch.testing.assert_close(torch.from_numpy(run([mixture.numpy()])[0]), expected, atol=1e-5, rtol=1e-4)


def test_nothing_but_an_export_is_replaced(tmp_path):
    separator = Gain().eval()
    export_small(tmp_path / "small", separator)
    with pytest.raises(ModelError, match="there is an export in"):
        export_small(tmp_path / "small", separator)
    (tmp_path / "small/model.json").write_text("old")
    export_small(tmp_path / "small", separator, overwrite=True)
    assert json.loads((tmp_path / "small/model.json").read_text())["name"] == "small"
    (tmp_path / "small/diary.txt").write_text("dear diary")
    with pytest.raises(ModelError, match=r"diary\.txt"):
        export_small(tmp_path / "small", separator, overwrite=True)
    assert (tmp_path / "small/diary.txt").read_text() == "dear diary"


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_weights_in_half_precision_take_half_the_space_and_compute_nearly_the_same(tmp_path, to):
    separator = Gain(frames=SAMPLE_RATE).eval()
    separator.inner.gain.data.uniform_(0.5, 1.0)
    stated, sizes = {}, {}
    for precision in ("float32", "float16"):
        folder = tmp_path / precision
        stated[precision] = export_small(folder, separator, to=to, chunk=1.0, precision=precision)
        sizes[precision] = sum(path.stat().st_size for path in folder.glob("model.[obx]*"))
        assert stated[precision]["weights"] == precision
    weights = 4 * sum(weight.numel() for weight in separator.parameters())
    assert 0.4 * weights < sizes["float32"] - sizes["float16"] <= 0.51 * weights
    assert (
        stated["float32"]["checked"]["difference"] < 1e-5 < stated["float16"]["checked"]["difference"] < 5e-3
    )
    assert stated["float16"]["inputs"] == stated["float32"]["inputs"]


@pytest.mark.slow
def test_weights_beyond_half_precision_are_refused(tmp_path):
    separator = Gain(frames=800).eval()
    separator.inner.gain.data[3] = 1e6
    with pytest.raises(ExportError, match="differs by inf of the peak"):
        export_small(tmp_path / "small", separator, to="onnx", chunk=0.1, precision="float16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["onnx", "openvino", "torchscript", "torch-export"])
def test_where_there_is_no_room_nothing_is_left(tmp_path, to):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    separator = Gain().eval()
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(ExportError, match="small") as raised:
            export_small(tmp_path / "small", separator, to=to, chunk=0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_nothing(tmp_path, error):
    def interrupt(mixture):
        raise error

    with pytest.raises(error):
        export_small(tmp_path / "a/small", Gain(interrupt).eval())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "onix"}, "there is no format 'onix'"),
        ({"chunk": 0.0}, "longer than 0 s"),
        ({"precision": "float16"}, "TorchScript has no float16 weights: take --to onnx or openvino"),
        ({"to": "onnx", "precision": "bfloat16"}, "in float32 or float16, not in bfloat16"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        export_small(tmp_path / "small", Gain().eval(), **options)
    assert not list(tmp_path.iterdir())
