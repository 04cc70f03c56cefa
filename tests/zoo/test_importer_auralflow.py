"""Models that auralflow saved are imported."""

import json

import pytest
import torch

import soloist
from published_auralflow import OPTIONS, SETTINGS, magnitudes, published_masks, published_state
from reference_vectors import FIXTURES
from replays import from_reference
from soloist import zoo
from soloist.config import build_object
from soloist.errors import ModelError
from soloist.networks import SpectrogramNetVAE
from soloist.zoo.importers import recognize
from soloist.zoo.importers.auralflow import network_config

COMPLEXITY = json.loads((FIXTURES / "auralflow" / "complexity.json").read_text())
GROUPS = {
    "input_norm": "input_norm",
    "encoders": "encoder",
    "unused": "bottleneck",
    "ups": "decoder",
    "decoders": "decoder",
    "head": "soft_conv",
    "output_norm": "output_norm",
    "bottleneck.lstm": "lstm",
    "bottleneck.dense": "linear",
    "bottleneck.mean": "mu",
    "bottleneck.log_deviation": "log_sigma",
    "bottleneck": "bottleneck",
}


def near(found, expected, atol=3e-4):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("name", [name for name in COMPLEXITY if not name.startswith("_")])
def test_parameters_are_those_of_the_original(name):
    """Counts of the original's code; its README claims other numbers."""
    case = COMPLEXITY[name]
    with torch.device("meta"):
        config = network_config({**case["config"], "class": case["class"]}, "batch")
        network = build_object(config, name, torch.nn.Module)
    weights = dict(network.named_parameters())
    assert sum(value.numel() for value in weights.values()) == case["params"]
    found = dict.fromkeys(case["by_group"], 0)
    for weight, value in weights.items():
        found[next(ours for part, ours in GROUPS.items() if weight.startswith(part))] += value.numel()
    assert found == case["by_group"]
    unused = sum(value.numel() for weight, value in weights.items() if weight.startswith("unused."))
    assert unused == case.get("params_unused_in_forward", unused)
    frozen = 0 if case["config"]["normalize_output"] else found["output_norm"]
    assert case["params"] - frozen == case.get("params_trainable", case["params"] - frozen)


@pytest.fixture
def saved(tmp_path):
    """A model as its trainer leaves it: a checkpoint, and the settings beside it."""
    folder = tmp_path / "my_model"
    folder.mkdir()
    state = published_state(**SETTINGS, num_fft_bins=65, num_frames=402)
    torch.save({"last_epoch": 3, "model": state, "best_model": state}, folder / "checkpoint.pth")
    (folder / "model.json").write_text(json.dumps(SETTINGS))
    return folder


class TestModels:
    @torch.no_grad()
    def test_what_the_file_beside_the_weights_says_is_taken(self, home, saved):
        separator = soloist.load(zoo.import_checkpoint(saved / "checkpoint.pth", name="drummer"))
        assert (separator.sources, separator.sample_rate, separator.channels) == (("drums",), 8000, 2)
        assert separator.chunk_length == 40 * 401
        mixture = torch.randn(1, 2, 16000)
        state = torch.load(saved / "checkpoint.pth")["model"]
        settings = {"system": "auralflow", "kind": "afmask", "class": "SpectrogramMaskModel", **SETTINGS}
        theirs = from_reference(settings, state)(mixture)
        window = torch.hann_window(100)
        padded = torch.nn.functional.pad(mixture, (0, 40))
        spectrum = torch.stft(
            padded[0], 128, 40, 100, window, center=True, pad_mode="reflect", return_complex=True
        )[None]
        masks = published_masks(state, spectrum.abs(), **SETTINGS)
        expected = torch.istft((masks * spectrum)[0], 128, 40, 100, window, length=16040)
        near(theirs[0], expected, 1e-4)
        # Only the end differs, beyond which auralflow sees zeros.
        near(separator(mixture)[0, 0, :, :15000], expected[:, :15000], 0.05)

    def test_without_it_what_weights_do_not_tell_is_as_published(self, home, saved):
        (saved / "model.json").unlink()
        separator = soloist.load(zoo.import_checkpoint(saved / "checkpoint.pth"))
        assert (separator.sources, separator.sample_rate, separator.channels) == (("vocals",), 44100, 2)
        assert separator.transform.hop_length == 64

    @pytest.mark.parametrize(
        "changes",
        [
            {"num_frames": 97},
            {"normalize_input": False},
            {"mask_act_fn": "prelu"},
            {"model_type": "SpectrogramNetLSTM", "num_frames": 97},
            {"model_type": "SpectrogramNetLSTM", "num_frames": 97, "input_axis": 0},
            {"model_type": "SpectrogramNetVAE", "num_fft_bins": 100, "recurrent_depth": 1},
        ],
    )
    @pytest.mark.parametrize("prefix", ["", "model."])
    def test_sizes_are_told_by_shapes(self, changes, prefix):
        state = published_state(**changes)
        separator = recognize({prefix + name: value for name, value in state.items()}).separator
        options = {**OPTIONS, **changes}
        x = magnitudes(1, options["num_fft_bins"], options["num_frames"])
        if not options["normalize_input"]:
            separator.network.num_frames = options["num_frames"]
        with torch.no_grad():
            near(separator.network(x), published_masks(state, x, **changes), 1e-5)

    def test_a_vae_separates_without_chance(self):
        separator = recognize(published_state(model_type="SpectrogramNetVAE")).separator
        assert isinstance(separator.network, SpectrogramNetVAE)
        mixture = torch.randn(1, 1, 3000)
        with torch.no_grad():
            assert torch.equal(separator(mixture), separator(mixture))

    @pytest.mark.parametrize(
        ("written", "message"),
        [
            ("{", "cannot read .*model.json"),
            ('{"name": "something else"}', "model.json is not auralflow's"),
            (json.dumps({**SETTINGS, "hidden_size": 7}), "do not fit the SpectrogramNet"),
            (json.dumps({**SETTINGS, "model_type": "AudioNetSimple"}), "'AudioNetSimple' is none of"),
            (json.dumps({**SETTINGS, "num_fft": "many"}), "values that make no SpectrogramNet"),
            (json.dumps({**SETTINGS, "hop_length": 0}), "values that make no SpectrogramNet"),
            (json.dumps({**SETTINGS, "targets": 3}), "values that make no SpectrogramNet"),
        ],
    )
    def test_settings_of_something_else_are_refused(self, home, saved, written, message):
        (saved / "model.json").write_text(written)
        with pytest.raises(ModelError, match=message) as caught:
            zoo.import_checkpoint(saved / "checkpoint.pth")
        assert "\n" not in str(caught.value)

    def test_the_settings_of_another_program_do_not_matter(self, tmp_path):
        (tmp_path / "model.json").write_text("{")
        assert recognize({"encoder.weight": torch.zeros(3)}, tmp_path) is None

    def test_an_incomplete_checkpoint_is_named(self):
        state = published_state()
        del state["soft_conv.0.weight"]
        with pytest.raises(ModelError, match=r"soft_conv\.0\.weight"):
            recognize(state)
