"""Published checkpoints of the ISMIR 2020 U-Nets are recognised."""

import numpy as np
import pytest
import torch

import soloist
from reference_vectors import FIXTURES, ReferenceVector
from replays import from_reference
from soloist.errors import ModelError
from soloist.separators import Chunking, build_separator, separate_chunked
from soloist.zoo import import_checkpoint
from soloist.zoo.importers import recognize


def test_a_checkpoint_of_the_framework_is_recognized():
    vector = ReferenceVector(FIXTURES / "unets" / "framework_magnitude_masking_sigmoid.npz")
    config, found = vector.config, recognize(vector.state)
    options = found.config["init_args"]
    assert options["transform"]["init_args"] == {"n_fft": 256, "hop_length": 128}
    assert (options["representation"], options["mode"]) == (config["spec_type"], config["spec_est_mode"])
    assert found.card["sources"] == ["vocals"]
    with torch.no_grad():
        mask = found.separator.network(vector["mid/input_spec"].transpose(-1, -2))
    expected = vector["mid/net_out"].transpose(-1, -2)
    torch.testing.assert_close(mask, expected, rtol=0, atol=1e-4)


def test_a_checkpoint_file_of_the_framework_becomes_a_model_folder(tmp_path):
    state = ReferenceVector(FIXTURES / "unets" / "framework_magnitude_masking_sigmoid.npz").state
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "vocals.ckpt")
    folder = import_checkpoint(tmp_path / "vocals.ckpt", tmp_path / "model")
    separator = soloist.load(folder)
    mixture = torch.randn(1, 2, 3000)
    with torch.no_grad():
        torch.testing.assert_close(separator(mixture), recognize(state).separator(mixture), atol=1e-5, rtol=0)


def test_what_weights_do_not_tell_can_be_set_after_recognition():
    vector = ReferenceVector(FIXTURES / "unets" / "framework_complex_masking_tanh.npz")
    separator = recognize(vector.state).separator
    assert (separator.representation, separator.mode) == ("complex", "mapping")
    separator.mode, separator.network.last_activation = "masking", torch.nn.Tanh()
    with torch.no_grad():
        estimate = separator(vector["input"].transpose(1, 2))[:, 0].transpose(1, 2)
    torch.testing.assert_close(estimate, vector["output"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["tfc_net", "tdf_net", "tfc_tdf_net", "tdc_rnn_net", "framework_complex_mapping"]
)
def test_networks_are_recognized_by_their_shapes(shared, name):
    vector = ReferenceVector(shared / "reference" / "unets" / f"{name}.npz")
    found = recognize(vector.state)
    again = build_separator(found.config, name)
    again.load_state_dict(found.separator.state_dict())
    whole = "mid/net_out" not in vector.arrays
    given, made = ("input", "output") if whole else ("mid/input_spec", "mid/net_out")
    if name == "tfc_net":  # No weight tells the number of bins, which is taken as published.
        again.network.num_bins = 129
    with torch.no_grad():
        output = again.network(vector[given].transpose(-1, -2))
    torch.testing.assert_close(output, vector[made].transpose(-1, -2), rtol=0, atol=1e-4)


def test_other_state_dicts_are_not_recognized():
    assert recognize({"encoder.weight": torch.zeros(3, 1, 21)}) is None


def test_a_shape_that_no_network_has_is_refused():
    state = ReferenceVector(FIXTURES / "unets" / "tfc_tdf_net_options.npz").state
    with pytest.raises(ModelError, match="3 input channels"):
        recognize({**state, "first_conv.0.weight": torch.zeros(6, 3, 1, 2)})


def test_an_incomplete_checkpoint_is_named():
    state = ReferenceVector(FIXTURES / "unets" / "tfc_tdf_net_options.npz").state
    del state["mid_block.tfc.H.0.0.weight"]
    with pytest.raises(ModelError, match=r"mid_block.tfc.H.0.0.weight"):
        recognize(state)


def tdc17(shared, number):
    path = shared / "weights" / f"cac_tdc_17_vocals_top{number}.pt"
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_tdc17_maps_a_chunk_as_its_authors_code_did(shared, number):
    folder = shared / "reference" / "tdc17"
    state = tdc17(shared, number)
    found = recognize(state)
    assert found.card["parameters"] == 535_924
    spectrogram = ReferenceVector(folder / "chunk0_input.npz")["input"]
    vector = ReferenceVector(folder / f"chunk0_output_top{number}.npz")
    expected = vector["output"]
    atol = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(from_reference(vector.config, state)(spectrogram), expected, rtol=0, atol=atol)
    found.separator.optimize()
    with torch.no_grad():
        optimized = found.separator.network(spectrogram[None])[0]
    torch.testing.assert_close(optimized, expected, rtol=0, atol=atol)


def test_tdc17_separates_as_its_authors_code_did(shared):
    av = pytest.importorskip("av")
    (clip,) = (shared / "data").rglob("Music Delta - 80s Rock.stem.mp4")
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(container.streams.audio[0])]
    mixture = torch.from_numpy(np.concatenate(frames, axis=1))[None, :, :180_000]
    separator = recognize(tdc17(shared, 1)).separator.optimize()
    authors = Chunking(length=66_560, trim=5_000, edges="padded")
    with torch.no_grad():
        estimate = separate_chunked(separator, mixture, authors)[0, 0, :, :132_300]
    vector = ReferenceVector(shared / "reference" / "tdc17" / "vocals_top1.npz")
    torch.testing.assert_close(estimate, vector["output"], rtol=0, atol=1e-4)
