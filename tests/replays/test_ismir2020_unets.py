"""ISMIR 2020 U-Nets against the recorded outputs of their authors' code."""

import json

import pytest
import torch

from reference_vectors import FIXTURES, ReferenceVector
from replays import from_reference
from replays.ismir2020_unets import from_options, handles
from soloist.errors import ModelError
from soloist.profiling import count_operations
from soloist.separators import build_separator
from soloist.zoo.importers import recognize

COMPLEXITY = {
    name: case
    for name, case in json.loads((FIXTURES / "unets" / "complexity.json").read_text()).items()
    if not name.startswith("_") and not case["class"].startswith(".")
}


def check(path):
    vector = ReferenceVector(path)
    torch.testing.assert_close(vector.run(), vector["output"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    ["tfc_tdf_net_options", "framework_magnitude_masking_sigmoid", "framework_complex_masking_tanh"],
)
def test_vectors(name):
    check(FIXTURES / "unets" / f"{name}.npz")


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
    vector = ReferenceVector(FIXTURES / "unets" / "tdf_dk_init.npz")
    weights = from_reference(vector.config, vector.state)()
    assert weights.keys() == vector.arrays.keys()
    for name, expected in vector.arrays.items():
        torch.testing.assert_close(weights[name], expected, rtol=0, atol=1e-7)


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
    vector = ReferenceVector(FIXTURES / "unets" / "framework_magnitude_masking_sigmoid.npz")
    config, state = vector.config, vector.state
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
    config = ReferenceVector(FIXTURES / "unets" / "tfc_tdf_net_options.npz").config
    network = from_options({**config, "t_down_layers": listed})["init_args"]["network"]
    assert network["init_args"]["time_levels"] == expected


def test_only_the_importer_ignores_the_levels_of_frequency():
    config = ReferenceVector(FIXTURES / "unets" / "tfc_tdf_net_options.npz").config
    assert config["f_down_layers"] == "[0]"
    network = from_options(config)["init_args"]["network"]["init_args"]
    assert "frequency_levels" not in network


def test_losses_are_not_this_importer_s():
    assert not handles({"system": "ISMIR2020_U_Nets_SVS", "kind": "losses"})
    assert not handles({"system": "another", "kind": "net"})


def test_a_missing_option_is_named():
    vector = ReferenceVector(FIXTURES / "unets" / "tfc_tdf_net_options.npz")
    config, state = vector.config, vector.state
    del config["kernel_size_t"]
    with pytest.raises(ModelError, match="kernel_size_t"):
        from_reference(config, state)


def test_weights_of_another_size_are_refused_in_one_line():
    vector = ReferenceVector(FIXTURES / "unets" / "tfc_tdf_net_options.npz")
    config, state = vector.config, vector.state
    with pytest.raises(ModelError, match="do not fit") as caught:
        from_reference({**config, "internal_channels": 5}, state)
    assert "\n" not in str(caught.value)
