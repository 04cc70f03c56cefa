"""Checkpoints of MDX23C, SCNet and MDX-Net become model folders with the settings that lie beside them."""

from __future__ import annotations

import copy
import json
import sys

import pytest
import torch
import yaml

import soloist
from reference_vectors import ReferenceVector, assert_near
from soloist.errors import ExportError, ModelError, SoloistError
from soloist.inference.graphs.formats import to_onnx
from soloist.networks import RecurrentNetwork
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT
from soloist.zoo import card_of, import_checkpoint
from soloist.zoo.onnx_graph import read_onnx


def vector_of(shared, name):
    return ReferenceVector(shared / "reference" / f"{name}.npz")


def write_mdx23c(shared, folder, **changes):
    vector = vector_of(shared, "mdx23c/instancenorm_2stems")
    options = vector.config["kwargs"]["config"]
    options["model"].update(changes)
    torch.save(vector.state, folder / "songs.ckpt")
    (folder / "songs.yaml").write_text(yaml.safe_dump(options))
    return vector


def write_onnx(shared, folder, name="mdxnet/separate_default"):
    vector = vector_of(shared, name)
    (folder / "song.onnx").write_bytes(vector["onnx"].numpy().tobytes())
    return vector


def refusal(path):
    with pytest.raises(ModelError) as caught:
        import_checkpoint(path, path.parent / "model")
    assert "\n" not in str(caught.value)
    assert not (path.parent / "model").exists()
    return str(caught.value)


def test_an_mdx23c_with_its_yaml(shared, tmp_path):
    vector = write_mdx23c(shared, tmp_path)
    separator = soloist.load(import_checkpoint(tmp_path / "songs.ckpt", tmp_path / "model"))
    assert separator.sources == ("vocals", "other")
    assert separator.chunk_length == vector["input"].shape[-1]
    with torch.no_grad():
        assert_near(separator(vector["input"]), vector["output"], 1e-5)
        assert_near(separator.optimize()(vector["input"]), vector["output"], 1e-5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"growth": 6}, "do not fit the MDX23C"), ({"value_residual": True}, "unknown key 'value_residual'")],
)
def test_a_wrong_yaml_is_named(shared, tmp_path, changes, reason):
    write_mdx23c(shared, tmp_path, **changes)
    assert reason in refusal(tmp_path / "songs.ckpt")


def test_a_missing_yaml_is_named(shared, tmp_path):
    write_mdx23c(shared, tmp_path)
    (tmp_path / "songs.yaml").unlink()
    assert "put its YAML" in refusal(tmp_path / "songs.ckpt")


def test_a_masked_scnet_with_tuples_in_its_yaml(shared, tmp_path):
    vector = vector_of(shared, "scnet/masked_4stems")
    options = {"audio": {"chunk_size": 2803}, "model": vector.config["kwargs"]}
    text = yaml.safe_dump(options).replace("dims:", "dims: !!python/tuple")
    (tmp_path / "stems.yaml").write_text(text)
    torch.save(vector.state, tmp_path / "stems.ckpt")
    separator = soloist.load(import_checkpoint(tmp_path / "stems.ckpt", tmp_path / "model"))
    assert separator.sources == ("drums", "bass", "other", "vocals")
    assert separator.mode == "complex_masking"


def test_an_onnx_file_with_its_facts(shared, tmp_path):
    vector = write_onnx(shared, tmp_path)
    assert read_onnx(tmp_path / "song.onnx")["onnx"]["tail_hash"] == vector.config["hash"]
    assert vector.config["hash"] in refusal(tmp_path / "song.onnx")
    facts = {"mdx_n_fft_scale_set": 160, "compensate": 1.25, "primary_stem": "No Drums", "hop_length": 64}
    (tmp_path / "song.json").write_text(json.dumps(facts))
    separator = soloist.load(import_checkpoint(tmp_path / "song.onnx", tmp_path / "model"))
    assert separator.sources == ("no_drums",)
    (tmp_path / "song.json").write_text(json.dumps({**facts, "compensate": 1.0}))
    plain = soloist.load(import_checkpoint(tmp_path / "song.onnx", tmp_path / "plain"))
    mixture = torch.randn(1, 2, 3000)
    with torch.no_grad():
        assert_near(separator(mixture), 1.25 * plain(mixture), 1e-5)


def test_a_truncated_onnx_file_is_named(shared, tmp_path):
    vector = write_onnx(shared, tmp_path)
    (tmp_path / "song.onnx").write_bytes(vector["onnx"].numpy().tobytes()[:5000])
    assert "damaged, or not an ONNX file" in refusal(tmp_path / "song.onnx")


@pytest.mark.parametrize("name", ["batchnorm", "groupnorm", "no_tdf", "single_linear_bias"])
def test_a_graph_estimates_what_onnx_runtime_does(shared, tmp_path, name):
    vector = write_onnx(shared, tmp_path, f"mdxnet/net_{name}")
    facts = {"n_fft": 160, "hop_length": 64, "muted": 0}
    (tmp_path / "song.yaml").write_text(yaml.safe_dump(facts))
    network = soloist.load(import_checkpoint(tmp_path / "song.onnx", tmp_path / "model")).optimize().network
    bins = vector["input"].shape[-2]
    spectrogram = torch.nn.functional.pad(vector["input"], (0, 0, 0, network.num_bins - bins))
    with torch.no_grad():
        assert_near(network(spectrogram)[:, :, :bins], vector["output_onnx"], 1e-5)


def write_graph(path, free, **facts):
    """Export a network that is no MDX-Net, for any batch and length or for one; return its separator."""
    network = RecurrentNetwork(4, 4, num_bins=81, hidden_size=6, layers=1, normalization="none")
    separator = SpectralSeparator(
        STFT(160, 64), network, sources=["lead"], sample_rate=44100, plane_order="channels", chunk_frames=24
    ).eval()
    to_onnx(separator, path, free=free)
    write_facts(path, **facts)
    return separator


def write_facts(path, **facts):
    facts = {"n_fft": 160, "hop_length": 64, "muted": 0, "stem": "Lead", **facts}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(facts))


@pytest.mark.slow
def test_any_graph_on_spectrograms_is_run_by_onnx_runtime(tmp_path):
    original = write_graph(tmp_path / "lead.onnx", (), gain=2)
    separator = soloist.load(import_checkpoint(tmp_path / "lead.onnx", tmp_path / "model"))
    assert separator.sources == ("lead",)
    assert card_of(tmp_path / "model").parameters > 1000
    mixture = torch.randn(2, 2, separator.chunk_length)
    with torch.no_grad():
        # The graph has a fixed batch of one, and 24 frames.
        assert_near(separator(mixture), 2 * original(mixture), 1e-5)
        short = mixture[..., :50]
        assert_near(copy.deepcopy(separator)(short), separator(short), 1e-6)
        longer = separator(torch.cat([mixture, mixture], dim=-1))
    assert longer.shape == (2, 1, 2, 2 * separator.chunk_length)
    stems = soloist.separate(mixture[0].repeat(1, 3), 44100, model=tmp_path / "model")
    assert stems["lead"].shape == (2, 3 * separator.chunk_length)
    with pytest.raises(ExportError, match="is an ONNX file already"):
        to_onnx(separator, tmp_path / "again.onnx")


@pytest.mark.slow
def test_a_graph_of_any_length_and_what_it_needs(tmp_path, monkeypatch):
    original = write_graph(tmp_path / "lead.onnx", ("batch", "length"))
    separator = soloist.load(import_checkpoint(tmp_path / "lead.onnx", tmp_path / "whole"))
    mixture = torch.randn(2, 2, 5003)
    with torch.no_grad():
        assert_near(separator(mixture), original(mixture), 1e-5)
    write_facts(tmp_path / "lead.onnx", n_fft=100)
    assert "num_input_bins 81" in refusal(tmp_path / "lead.onnx")
    write_facts(tmp_path / "lead.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    needed = r"package onnxruntime is needed .* 'soloist\[onnxruntime\]'"
    for call in (lambda: soloist.load(tmp_path / "whole"), lambda: import_checkpoint(tmp_path / "lead.onnx")):
        with pytest.raises(SoloistError, match=needed):
            call()
