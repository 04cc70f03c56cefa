"""Models as nussl saves them, imported and compared with the networks of their configurations."""

from __future__ import annotations

import json
import sys
import types
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import soloist
from reference_vectors import FIXTURES, ReferenceVector
from replays.nussl.networks import Graph
from soloist.errors import ModelError
from soloist.separators import ClusteringSeparator, SpectralSeparator
from soloist.zoo import import_checkpoint

RATE, BINS = 8000, 17  # of the fixtures


def network(name):
    """Configuration and weights of a fixture's network."""
    vector = ReferenceVector(FIXTURES / "nussl" / f"net_{name}.npz")
    state = {key: value for key, value in vector.state.items() if key.startswith("layers.")}
    return vector.config["model_config"], OrderedDict(state)


@pytest.fixture
def saved(tmp_path):
    """Save a fixture's network, changed as asked, in a file as nussl saves it."""

    def save(name, change=lambda config, state: None, nested=False, **metadata):
        config, state = network(name)
        change(config, state)
        metadata = {"sample_rate": RATE, "stft_params": stft_params()} | metadata
        metadata = {key: value for key, value in metadata.items() if value is not None}
        if nested:
            metadata = {"train_data": metadata, "nussl_version": "1.1.9"}
        said = {"metadata": {"config": config, **metadata}} if nested else {"config": json.dumps(config)}
        torch.save({"state_dict": state, "metadata": metadata} | said, tmp_path / "model.pth")
        return tmp_path / "model.pth", Graph(config, state).eval()

    return save


def stft_params(length=2 * (BINS - 1), hop=8, window="sqrt_hann"):
    return {"window_length": length, "hop_length": hop, "window_type": window}


def imported(path, tmp_path):
    return soloist.load(import_checkpoint(path, tmp_path / "model"))


@torch.no_grad()
def outputs(graph, separator, mixture):
    """Outputs of nussl's network on the magnitudes of Soloist's transform."""
    magnitudes = separator.transform(mixture).abs()
    made = graph(magnitudes.permute(0, 3, 2, 1))
    # (batch, frames, frequency, channels, sources) to (batch, sources, channels, frequency, frames)
    return {name: value.permute(0, 4, 3, 2, 1) for name, value in made.items()}


def mixtures(channels=1):
    return 0.3 * torch.randn(2, channels, 400, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("nested", [False, True])
@torch.no_grad()
def test_mask_inference(saved, tmp_path, nested):
    path, graph = saved("mask_inference", nested=nested)
    separator = imported(path, tmp_path)
    assert type(separator) is SpectralSeparator
    assert separator.sources == ("source1", "source2", "source3")
    assert (separator.sample_rate, separator.channels, separator.ordered) == (RATE, 1, False)
    mixture = mixtures()
    expected = outputs(graph, separator, mixture)
    assert_close(separator.predict(mixture).masks, expected["mask"], atol=1e-5, rtol=0)
    assert_close(separator(mixture).sum(1), mixture, atol=1e-5, rtol=0)  # A softmax.


@torch.no_grad()
def test_deep_clustering(saved, tmp_path):
    path, graph = saved("dpcl", num_sources=3)
    separator = imported(path, tmp_path)
    assert isinstance(separator, ClusteringSeparator)
    assert len(separator.sources) == 3
    mixture = mixtures()
    embeddings = separator.predict(mixture).embeddings
    expected = outputs(graph, separator, mixture)["embedding"]
    assert_close(embeddings.permute(0, 4, 1, 2, 3), expected, atol=1e-5, rtol=0)
    assert_close(separator(mixture).sum(1), mixture, atol=1e-4, rtol=0)


@torch.no_grad()
def test_chimera(saved, tmp_path):
    path, graph = saved("chimera")
    separator = imported(path, tmp_path)
    mixture = mixtures()
    prediction, expected = separator.predict(mixture), outputs(graph, separator, mixture)
    assert_close(prediction.embeddings.permute(0, 4, 1, 2, 3), expected["embedding"], atol=1e-5, rtol=0)
    assert_close(prediction.masks, expected["mask"], atol=1e-5, rtol=0)
    assert_close(prediction.coefficients.abs(), expected["estimates"], atol=1e-5, rtol=0)
    # The masks separate.
    made = separator.synthesize(prediction.coefficients, mixture.shape[-1])
    assert_close(separator(mixture), made, atol=1e-5, rtol=0)


def widen(config, state):
    """Two channels, gated units in one direction, mel bands, a norm of each bin with its own constant."""
    torch.manual_seed(0)
    modules, mels, hidden = config["modules"], 5, 6
    modules["normalization"] = {"class": "BatchNorm", "args": {"num_features": BINS, "eps": 0.5}}
    modules["mel"] = {
        "class": "MelProjection",
        "args": {"sample_rate": RATE, "num_frequencies": BINS, "num_mels": mels},
    }
    modules["recurrent_stack"]["args"] |= {
        "num_features": 2 * mels,
        "hidden_size": hidden,
        "num_layers": 1,
        "bidirectional": False,
        "rnn_type": "gru",
    }
    modules["mask"]["args"] |= {"hidden_size": hidden, "num_audio_channels": 2, "bias": False}
    modules["mask"]["args"]["activation"] = ["sigmoid"]
    config["connections"][2] = ["recurrent_stack", ["mel"]]
    config["connections"].insert(2, ["mel", ["normalization"]])
    shapes = {f"normalization.batch_norm.{name}": (BINS,) for name in ("weight", "bias", "running_mean")}
    shapes |= {"mel.transform.weight": (mels, BINS), "mel.transform.bias": (mels,)}
    shapes |= {f"recurrent_stack.rnn.weight_{name}_l0": (18, size) for name, size in (("ih", 10), ("hh", 6))}
    shapes |= {f"recurrent_stack.rnn.bias_{name}_l0": (18,) for name in ("ih", "hh")}
    shapes |= {"mask.linear.weight": (3 * 2 * BINS, hidden)}
    state.clear()
    state.update({f"layers.{name}": torch.randn(shape) for name, shape in shapes.items()})
    state["layers.normalization.batch_norm.running_var"] = torch.rand(BINS) + 0.1
    state["layers.normalization.batch_norm.num_batches_tracked"] = torch.tensor(3)


@torch.no_grad()
def test_everything_another_way(saved, tmp_path):
    path, graph = saved("mask_inference", widen)
    separator = imported(path, tmp_path)
    mixture = mixtures(2)
    assert_close(
        separator.predict(mixture).masks, outputs(graph, separator, mixture)["mask"], atol=1e-5, rtol=0
    )


@torch.no_grad()
def test_magnitudes_normalised_by_themselves(saved, tmp_path):
    def change(config, state):
        config["modules"]["normalization"] = {"class": "InstanceNorm"}
        config["connections"] = [["normalization", ["mix_magnitude"]], *config["connections"][2:]]
        del config["modules"]["log_spectrogram"]
        for name in [name for name in state if "normalization" in name]:
            del state[name]

    path, graph = saved("mask_inference", change)
    separator = imported(path, tmp_path)
    assert separator.representation == "magnitude"
    mixture = mixtures()
    assert_close(
        separator.predict(mixture).masks, outputs(graph, separator, mixture)["mask"], atol=1e-5, rtol=0
    )


def test_the_transform_is_nussl_s(saved, tmp_path):
    """nussl calls `scipy.signal.stft`: zeros beyond the ends, divided by the window's sum."""
    scipy = pytest.importorskip("scipy.signal")
    path, _ = saved("mask_inference")
    separator = imported(path, tmp_path)
    mixture = mixtures()[:1]
    window = np.sqrt(scipy.get_window("hann", 32))
    _, _, expected = scipy.stft(mixture[0, 0].double().numpy(), window=window, nperseg=32, noverlap=24)
    assert_close(separator.transform(mixture)[0, 0].numpy(), expected.astype(np.complex64), atol=1e-6, rtol=0)


def test_parameters_of_the_transform_may_be_an_object_or_missing(saved, tmp_path, monkeypatch):
    home = types.ModuleType("nussl_like")
    home.STFTParams = namedtuple("STFTParams", ["window_length", "hop_length", "window_type"])
    home.STFTParams.__module__ = "nussl_like"
    monkeypatch.setitem(sys.modules, "nussl_like", home)
    path, _ = saved("mask_inference", stft_params=home.STFTParams(32, 16, "hann"))
    monkeypatch.delitem(sys.modules, "nussl_like")
    transform = imported(path, tmp_path).transform
    assert transform.hop_length == 16
    assert_close(transform.window, torch.hann_window(32))
    path, _ = saved("mask_inference", stft_params=None)
    transform = soloist.load(import_checkpoint(path, tmp_path / "other")).transform
    assert (transform.n_fft, transform.hop_length) == (32, 8)
    assert_close(transform.window, torch.hann_window(32).sqrt())


def set_activation(head, activation):
    return lambda config, state: config["modules"][head]["args"].update(activation=activation)


def insert_mel(**options):
    """Mel bands of another kind before the recurrent stack."""

    def change(config, state):
        args = {"sample_rate": RATE, "num_frequencies": BINS, "num_mels": 5, **options}
        config["modules"]["mel"] = {"class": "MelProjection", "args": args}
        config["connections"][2:3] = [["mel", ["normalization"]], ["recurrent_stack", ["mel"]]]

    return change


def set_class(name, part):
    return lambda config, state: config["modules"].update({name: part})


@pytest.mark.parametrize(
    ("name", "change", "metadata", "message"),
    [
        ("open_unmix_like", None, {}, "OpenUnmix cannot be imported: .*Tanh"),
        ("dual_path_rnn", None, {}, "DualPathRNN cannot be imported: it has 0 recurrent stacks"),
        ("end_to_end_rnn_complex", None, {}, "EndToEndRNN cannot be imported"),
        ("mask_inference", None, {"sample_rate": None}, "does not say its sample rate"),
        ("mask_inference", None, {"stft_params": stft_params(64)}, "of 17 bins, and its windows have 64"),
        ("mask_inference", None, {"stft_params": stft_params(window="kaiser")}, "window 'kaiser'"),
        ("mask_inference", set_activation("mask", ["sigmoid", "unit_norm"]), {}, "activation is unit"),
        ("mask_inference", set_activation("mask", ["gated_tanh"]), {}, "activation is gated_tanh"),
        ("chimera", set_activation("mask", ["tanh"]), {}, "activation is tanh"),
        ("dpcl", lambda config, state: state.popitem(), {}, "incomplete: it has no .*linear.bias"),
        ("dpcl", insert_mel(clamp=True), {}, "mel bands goes back from them, or is limited"),
        ("dpcl", insert_mel(direction="backward"), {}, "mel bands goes back from them, or is limited"),
        ("dpcl", lambda config, state: config.update(modules=[1]), {}, "is damaged"),
        ("dpcl", lambda config, state: config["modules"]["embedding"]["args"].clear(), {}, "is damaged"),
        ("dpcl", lambda config, state: config["connections"].append(["again"]), {}, "is damaged"),
        (
            "mask_inference",
            set_class("normalization", {"class": "BatchNorm", "args": {"track_running_stats": False}}),
            {},
            "has a BatchNorm that Soloist has not",
        ),
    ],
)
def test_what_cannot_be_imported_is_said(tmp_path, name, change, metadata, message):
    config, state = network(name)
    if change:
        change(config, state)
    metadata = {"config": config, "sample_rate": RATE, "stft_params": stft_params()} | metadata
    torch.save({"state_dict": state, "metadata": metadata}, tmp_path / "model.pth")
    with pytest.raises(ModelError, match=message) as caught:
        import_checkpoint(tmp_path / "model.pth", tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_weights_alone_are_refused(saved, tmp_path):
    path, _ = saved("mask_inference")
    torch.save(torch.load(path, weights_only=True)["state_dict"], tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="without their configuration"):
        import_checkpoint(tmp_path / "weights.pth", tmp_path / "model")
