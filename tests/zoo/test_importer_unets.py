import json
from pathlib import Path

import numpy as np
import pytest
import torch

import soloist
from soloist.errors import ModelError
from soloist.profiling import count_operations
from soloist.separators import Chunking, build_separator, separate_chunked
from soloist.zoo import import_checkpoint
from soloist.zoo.importers import from_reference, recognize
from soloist.zoo.importers.ismir2020_unets import handles
from soloist.zoo.importers.ismir2020_unets_options import from_options

FIXTURES = Path(__file__).parents[1] / "fixtures" / "unets"
COMPLEXITY = {
    name: case
    for name, case in json.loads((FIXTURES / "complexity.json").read_text()).items()
    if not name.startswith("_") and not case["class"].startswith(".")
}


def load(path):
    """Configuration, weights and the rest of a vector."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    config = json.loads(str(arrays.pop("config")))
    state = {name[6:]: torch.from_numpy(value) for name, value in arrays.items() if name.startswith("state/")}
    return config, state, {name: value for name, value in arrays.items() if not name.startswith("state/")}


def check(path):
    config, state, arrays = load(path)
    output = from_reference(config, state)(torch.from_numpy(arrays["input"]))
    expected = torch.from_numpy(arrays["output"])
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    ["tfc_tdf_net_options", "framework_magnitude_masking_sigmoid", "framework_complex_masking_tanh"],
)
def test_vectors(name):
    check(FIXTURES / f"{name}.npz")


@pytest.mark.parametrize(
    "name",
    [
        "tfc_net",
        "tdc_net",
        "tdf_net",
        "tfc_tdf_net",
        "tdc_rnn_net",
        "framework_complex_mapping",
        "longtrack_complex_mapping",
        "longtrack_complex_masking_tanh",
        "longtrack_magnitude_masking_sigmoid",
    ],
)
def test_vectors_outside_the_repository(shared, name):
    check(shared / "reference" / "unets" / f"{name}.npz")


def test_initial_weights_that_keep_bands():
    config, state, arrays = load(FIXTURES / "tdf_dk_init.npz")
    weights = from_reference(config, state)()
    assert set(weights) == set(arrays)
    for name, expected in arrays.items():
        np.testing.assert_allclose(weights[name].numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("name", sorted(COMPLEXITY))
def test_parameters_and_operations_are_the_published_ones(name):
    case = COMPLEXITY[name]
    network = build_separator(from_options({**case["config"], "class": case["class"]}), name).network
    assert sum(parameter.numel() for parameter in network.parameters()) == case["params"]
    batch, channels, frames, bins = case["input_shape"]
    seen = torch.empty(batch, channels, bins, frames, device="meta")
    with torch.no_grad():
        assert count_operations(lambda: network.to("meta")(seen)) == case["flops"]


@pytest.mark.parametrize("hop", [128, 100, 64])
@pytest.mark.parametrize("length", [200, 777, 1977, 2048])
def test_a_framework_analyses_as_published_whatever_the_length(hop, length):
    """Centred frames reflected at both ends, nothing beyond the last whole hop, also below a window."""
    config, state, _ = load(FIXTURES / "framework_magnitude_masking_sigmoid.npz")
    config["hop_length"] = hop
    audio = torch.randn(1, length, 2)
    window = torch.hann_window(256)
    spectrum = torch.stft(audio[0].T, 256, hop, window=window, center=True, return_complex=True)[None]
    with torch.no_grad():
        mask = recognize(state).separator.network(spectrum.abs())
    expected = torch.istft((mask * spectrum)[0], 256, hop, window=window, center=True)
    output = from_reference(config, state)(audio)
    assert output.shape == (1, length // hop * hop, 2)
    torch.testing.assert_close(output[0].T, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [(None, None), ("None", None), ("1", [1]), ("[0, 2]", [0, 2]), ("(2,0,7)", [0, 2])],
)
def test_levels_of_time_are_read_as_their_command_line_wrote_them(listed, expected):
    config, _, _ = load(FIXTURES / "tfc_tdf_net_options.npz")
    network = from_options({**config, "t_down_layers": listed})["init_args"]["network"]
    assert network["init_args"]["time_levels"] == expected


def test_only_the_importer_ignores_the_levels_of_frequency():
    config, _, _ = load(FIXTURES / "tfc_tdf_net_options.npz")
    assert config["f_down_layers"] == "[0]"
    network = from_options(config)["init_args"]["network"]["init_args"]
    assert "frequency_levels" not in network


def test_losses_are_not_this_importer_s():
    assert not handles({"system": "ISMIR2020_U_Nets_SVS", "kind": "losses"})
    assert not handles({"system": "another", "kind": "net"})


def test_a_missing_option_is_named():
    config, state, _ = load(FIXTURES / "tfc_tdf_net_options.npz")
    del config["kernel_size_t"]
    with pytest.raises(ModelError, match="kernel_size_t"):
        from_reference(config, state)


def test_weights_of_another_size_are_refused_in_one_line():
    config, state, _ = load(FIXTURES / "tfc_tdf_net_options.npz")
    with pytest.raises(ModelError, match="do not fit") as caught:
        from_reference({**config, "internal_channels": 5}, state)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_the_framework_is_recognized():
    config, state, arrays = load(FIXTURES / "framework_magnitude_masking_sigmoid.npz")
    found = recognize(state)
    options = found.config["init_args"]
    assert options["transform"]["init_args"] == {"n_fft": 256, "hop_length": 128}
    assert (options["representation"], options["mode"]) == (config["spec_type"], config["spec_est_mode"])
    assert found.card["sources"] == ["vocals"]
    with torch.no_grad():
        mask = found.separator.network(torch.from_numpy(arrays["mid/input_spec"]).transpose(-1, -2))
    expected = torch.from_numpy(arrays["mid/net_out"]).transpose(-1, -2)
    torch.testing.assert_close(mask, expected, rtol=0, atol=1e-4)


def test_a_checkpoint_file_of_the_framework_becomes_a_model_folder(tmp_path):
    _, state, _ = load(FIXTURES / "framework_magnitude_masking_sigmoid.npz")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "vocals.ckpt")
    folder = import_checkpoint(tmp_path / "vocals.ckpt", tmp_path / "model")
    separator = soloist.load(folder)
    mixture = torch.randn(1, 2, 3000)
    with torch.no_grad():
        torch.testing.assert_close(separator(mixture), recognize(state).separator(mixture), atol=1e-5, rtol=0)


def test_what_weights_do_not_tell_can_be_set_after_recognition():
    _, state, arrays = load(FIXTURES / "framework_complex_masking_tanh.npz")
    separator = recognize(state).separator
    assert (separator.representation, separator.mode) == ("complex", "mapping")
    separator.mode, separator.network.last_activation = "masking", torch.nn.Tanh()
    with torch.no_grad():
        estimate = separator(torch.from_numpy(arrays["input"]).transpose(1, 2))[:, 0].transpose(1, 2)
    torch.testing.assert_close(estimate, torch.from_numpy(arrays["output"]), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["tfc_net", "tdf_net", "tfc_tdf_net", "tdc_rnn_net", "framework_complex_mapping"]
)
def test_networks_are_recognized_by_their_shapes(shared, name):
    _, state, arrays = load(shared / "reference" / "unets" / f"{name}.npz")
    found = recognize(state)
    again = build_separator(found.config, name)
    again.load_state_dict(found.separator.state_dict())
    if "mid/net_out" in arrays:
        arrays = {"input": arrays["mid/input_spec"], "output": arrays["mid/net_out"]}
    if name == "tfc_net":  # Nothing in it tells the number of bins: it is taken as published.
        again.network.num_bins = 129
    with torch.no_grad():
        output = again.network(torch.from_numpy(arrays["input"]).transpose(-1, -2))
    expected = torch.from_numpy(arrays["output"]).transpose(-1, -2)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-4)


def test_other_state_dicts_are_not_recognized():
    assert recognize({"encoder.weight": torch.zeros(3, 1, 21)}) is None


def test_a_shape_that_no_network_has_is_refused():
    _, state, _ = load(FIXTURES / "tfc_tdf_net_options.npz")
    with pytest.raises(ModelError, match="3 input channels"):
        recognize({**state, "first_conv.0.weight": torch.zeros(6, 3, 1, 2)})


def test_an_incomplete_checkpoint_is_named():
    _, state, _ = load(FIXTURES / "tfc_tdf_net_options.npz")
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
    with np.load(folder / "chunk0_input.npz") as file:
        spectrogram = torch.from_numpy(file["input"])
    config, _, arrays = load(folder / f"chunk0_output_top{number}.npz")
    expected = torch.from_numpy(arrays["output"])
    atol = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(from_reference(config, state)(spectrogram), expected, rtol=0, atol=atol)
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
    _, _, arrays = load(shared / "reference" / "tdc17" / "vocals_top1.npz")
    torch.testing.assert_close(estimate, torch.from_numpy(arrays["output"]), rtol=0, atol=1e-4)
