"""All engines estimate the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from families import SAMPLE_RATE, make_family
from soloist.errors import UsageError
from soloist.inference import ENGINES, StreamSettings, TorchEngine, make_engine, separate_stream
from soloist.inference.engines.graph_cache import cached_graph, fingerprint, graphs_folder
from soloist.separators import HPSS
from toy_embeddings import band_separator, band_talkers

OTHERS = [name for name in ENGINES if name not in ("torch", "cudagraph")]

# What graphs the others have is tested where they are exported.
SOME = ["sudormrf-improved", "unet-tfc-tdf", "xumx-slicq", "clustering"]


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def home(monkeypatch, shared_home):
    """One cache for all engines: each graph is exported once."""
    monkeypatch.setenv("SOLOIST_HOME", str(shared_home))
    return shared_home


def noise(*shape, seed=0):
    return 0.2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_equal(estimates, expected):
    """Equal up to 1e-4 of the peak, which is what an engine must promise."""
    assert estimates.shape == expected.shape
    assert (estimates - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("family", SOME)
def test_an_engine_equals_pytorch(family, name):
    separator = make_family(family)
    mixture = noise(1, 1, 2400)
    expected = TorchEngine(separator, "cpu")(mixture)
    assert expected.abs().max() > 1e-3
    assert_equal(make_engine(name, separator)(mixture), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_shapes_come_in_any_order(name):
    separator = make_family("unet-tfc-tdf")
    torch_engine, engine = TorchEngine(separator, "cpu"), make_engine(name, separator)
    shapes = [(1, 2400), (3, 2400), (1, 1), (2, 900), (1, 1700), (1, 901), (1, 2400)]
    for seed, (batch, samples) in enumerate(shapes):
        mixture = noise(batch, 1, samples, seed=seed)
        assert_equal(engine(mixture), torch_engine(mixture))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_estimates_stay_when_others_follow(name):
    engine = make_engine(name, make_family("sudormrf-improved"))
    first = engine(noise(1, 1, 2400))
    kept = first.clone()
    engine(noise(1, 1, 2400, seed=1))
    assert torch.equal(first, kept)


@pytest.mark.parametrize("name", OTHERS)
def test_a_recording_of_many_chunks_and_channels(name):
    separator = make_family("sudormrf-improved")
    mixture = noise(2, 5 * SAMPLE_RATE + 123).numpy()

    def separate(engine):
        settings = StreamSettings(chunk=0.5, overlap=0.25, batch_size=2)
        pairs = separate_stream(separator, [mixture], 2 * SAMPLE_RATE, engine=engine, settings=settings)
        return torch.from_numpy(np.concatenate([estimates for _, estimates in pairs], axis=-1))

    assert_equal(separate(make_engine(name, separator)), separate(TorchEngine(separator, "cpu")))


@pytest.mark.parametrize("name", OTHERS)
def test_what_follows_sources_follows_them_with_any_engine(name):
    separator = band_separator()
    talkers = band_talkers(["xxxx......xxxx..xx", "xxxx..xxxx......xx", "xxxx....xxxxxx..xx"])
    mixture = talkers.sum(dim=0, keepdim=True).numpy()

    def separate(engine):
        pairs = separate_stream(separator, [mixture], SAMPLE_RATE, engine=engine)
        return torch.from_numpy(np.concatenate([estimates for _, estimates in pairs], axis=-1))

    assert_equal(separate(make_engine(name, separator)), separate(TorchEngine(separator, "cpu")))


@pytest.mark.slow
def test_damaged_graphs_are_made_anew(monkeypatch, tmp_path):
    """With any engine: the cache tells them."""
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))
    name, mixture, families = "onnxruntime", noise(1, 1, 900), ("clustering", "tasnet")
    expected = [make_engine(name, make_family(family))(mixture) for family in families]
    first, second = sorted(graphs_folder().glob("*.onnx"))
    first.write_bytes(second.read_bytes())
    second.write_bytes(second.read_bytes()[:-100])
    for family, estimates in zip(families, expected, strict=True):
        assert_equal(make_engine(name, make_family(family))(mixture), estimates)
    assert len(list(graphs_folder().iterdir())) == 2


@pytest.mark.parametrize("name", OTHERS)
def test_without_a_graph_for_all_sizes_there_is_one_for_each(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))
    separator, mixture = make_family("unet-tdc"), noise(1, 1, 900)
    # What the engine does not know may be in the graph of a newer PyTorch.
    cached_graph(fingerprint(separator), lambda path: path.write_bytes(b"unknown"))
    assert_equal(make_engine(name, separator)(mixture), TorchEngine(separator, "cpu")(mixture))
    assert len(list(graphs_folder().iterdir())) == 2


@pytest.mark.slow
def test_other_weights_are_another_graph():
    separator, mixture = make_family("sudormrf-improved"), noise(1, 1, 2400)
    make_engine("openvino", separator)(mixture)
    with torch.no_grad():
        next(separator.network.parameters()).mul_(2)
    assert_equal(make_engine("openvino", separator)(mixture), TorchEngine(separator, "cpu")(mixture))


def test_what_has_no_network_is_refused():
    with pytest.raises(UsageError, match="HPSS has no network that openvino could run"):
        make_engine("openvino", HPSS(sample_rate=SAMPLE_RATE, channels=1))


def test_what_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no engine 'tensorrt'; there are torch, openvino, onnxruntime"):
        make_engine("tensorrt", make_family("unet-tdc"))
    with pytest.raises(UsageError, match="computes on the cpu"):
        make_engine("openvino", make_family("unet-tdc"), "cuda")
