"""Files of asteroid and folders of SpeechBrain, as both write them."""

from __future__ import annotations

import pytest
import torch

from reference_vectors import ReferenceVector, assert_near
from soloist import zoo
from soloist.errors import ModelError
from soloist.separators import Denoiser
from soloist.zoo.importers import speechbrain
from soloist.zoo.importers.asteroid import from_args

SETTINGS = """
sample_rate: 8000
num_spks: 2
seed: !apply:torch.manual_seed [1234]
Encoder: !new:speechbrain.lobes.models.dual_path.Encoder
  kernel_size: 16
  out_channels: 16
SBtfintra: &id001 !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
  num_layers: 2
  d_model: 16
  nhead: 4
  d_ffn: 24
  use_positional_encoding: true
  norm_before: true
MaskNet: !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
  num_spks: !ref <num_spks>
  in_channels: 16
  out_channels: 16
  num_layers: 2
  K: 10
  intra_model: !ref <SBtfintra>
  inter_model: *id001
  norm: ln
modules: {encoder: !ref <Encoder>, masknet: !ref <MaskNet>}
"""


def vector(shared, name):
    return ReferenceVector(shared / "reference" / f"{name}.npz")


@pytest.fixture
def asteroid_file(shared, tmp_path):
    """Write the file of a vector's model as asteroid does."""

    def write(name, **changes):
        stored = vector(shared, f"asteroid/{name}")
        content = {
            "model_name": stored.config["class"],
            "model_args": stored.config["model_args"],
            "state_dict": stored.state,
            "infos": {"software_versions": {"torch_version": torch.__version__}},
            **changes,
        }
        torch.save(content, tmp_path / "pytorch_model.bin")
        return tmp_path / "pytorch_model.bin", stored

    return write


@torch.no_grad()
@pytest.mark.parametrize("name", ["convtasnet_relu_8k", "sudormrf", "sudormrf_improved", "lstm_tasnet"])
def test_a_file_of_asteroid_is_imported(asteroid_file, tmp_path, name):
    path, stored = asteroid_file(name)
    separator = zoo.load(zoo.import_checkpoint(path, tmp_path / "model"))
    assert separator.sources == ("speaker1", "speaker2")
    assert (separator.sample_rate, separator.ordered) == (8000, False)
    mixture = torch.as_tensor(stored["input"]).reshape(len(stored["input"]), 1, -1)
    assert_near(separator(mixture)[:, :, 0], stored["output"], 1e-5)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("sudormrf", {"mask_act": "relu"}, "SuDORMRFNet with mask_act 'relu' is not supported"),
        ("sudormrf_improved", {"kernel_size": 40}, "with kernel_size 40 is not supported"),
        ("sudormrf_improved", {"kernel_size": 41, "upsampling_depth": 5}, "of 5 levels and hops of 20"),
        ("sudormrf_improved", {"fb_name": "stft"}, "with fb_name 'stft' is not supported"),
        ("lstm_tasnet", {"mask_act": "softmax"}, "which is over time, is not supported"),
    ],
)
def test_options_that_networks_do_not_have_are_refused_in_one_line(asteroid_file, name, changes, message):
    args = asteroid_file(name)[1].config["model_args"]
    path, _ = asteroid_file(name, model_args={**args, **changes})
    with pytest.raises(ModelError, match=message) as caught:
        zoo.import_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_file_for_one_talker_parts_speech_from_noise(asteroid_file, tmp_path):
    path, _ = asteroid_file("dprnn_ks16_1src")
    separator = zoo.load(zoo.import_checkpoint(path, tmp_path / "model"), sample_rate=48000, channels=2)
    assert isinstance(separator, Denoiser)
    assert (separator.sources, separator.sample_rate) == (("speech", "noise"), 48000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_name": "FasNetTAC"}, "asteroid's FasNetTAC is not supported"),
        ({"model_args": ["no", "names"]}, "model_args of this ConvTasNet are no names"),
        (
            {"model_args": {"fb_name": "ParamSincFB"}},
            "with fb_name 'paramsincfb' is not supported",
        ),
        ({"model_args": {"mask_act": "tanh"}}, "with mask_act 'tanh' is not supported"),
        ({"model_args": {"n_filters": 30}}, "the weights do not fit the ConvTasNet"),
    ],
)
def test_files_of_asteroid_that_are_not_supported_are_refused_in_one_line(asteroid_file, changes, message):
    path, _ = asteroid_file("convtasnet_relu_8k", **changes)
    with pytest.raises(ModelError, match=message) as caught:
        zoo.import_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_arguments_that_older_files_lack_are_those_of_then():
    config = from_args("dptnet", {"out_chan": 64})
    assert config["init_args"]["filterbank"]["init_args"]["activation"] == "relu"
    assert config["init_args"]["network"]["init_args"]["heads"] == 4


@pytest.fixture
def folder(shared, tmp_path):
    """A folder as SpeechBrain keeps it, and its vector."""
    stored = vector(shared, "sepformer/sepformer_2spk")
    path = tmp_path / "sepformer-tiny"
    path.mkdir()
    for part in speechbrain.PARTS:
        state = {
            name.removeprefix(f"{part}."): value
            for name, value in stored.state.items()
            if name.startswith(f"{part}.")
        }
        torch.save(state, path / f"{part}.ckpt")
    (path / speechbrain.SETTINGS).write_text(SETTINGS)
    return path, stored


@torch.no_grad()
def test_a_folder_of_speechbrain_is_imported_without_running_its_tags(folder, home):
    path, stored = folder
    model = zoo.import_checkpoint(path)
    assert model.name == "sepformer-tiny"
    separator = zoo.load(model)
    assert separator.sources == ("speaker1", "speaker2")
    assert_near(separator(stored["input"][:, None])[:, :, 0].transpose(1, 2), stored["output"], 1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("norm: ln", "norm: !new:os.system [ls]"), "names !new:os.system, which is no part"),
        (("dual_path.Dual_Path_Model", "conv_tasnet.MaskNet"), "has no SepFormer; it names new:speechbrain"),
        (("!ref <num_spks>", "!ref <nothing>"), "the reference <nothing> cannot be followed"),
        (("!ref <SBtfintra>", "!ref <MaskNet>"), "leads back to itself"),
        (("K: 10", "K: 11"), "K 11, an odd number is not supported"),
        (("K: 10", "K: ["), "cannot read the settings"),
    ],
)
def test_settings_that_are_not_supported_are_refused_in_one_line(folder, home, change, message):
    path, _ = folder
    settings = path / speechbrain.SETTINGS
    settings.write_text(SETTINGS.replace(*change))
    with pytest.raises(ModelError, match=message) as caught:
        zoo.import_checkpoint(path)
    assert "\n" not in str(caught.value)
