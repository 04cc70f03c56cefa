"""Auralflow's networks, mask model and separation, and models that it saved."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import soloist
from published_auralflow import OPTIONS, published_masks, published_state
from soloist import zoo
from soloist.config import build_object
from soloist.errors import ModelError
from soloist.networks import SpectrogramNetVAE
from soloist.zoo.importers import from_reference, recognize
from soloist.zoo.importers.auralflow import handles
from soloist.zoo.importers.auralflow_options import network_config

COMPLEXITY = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "auralflow" / "complexity.json").read_text()
)
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
RECURRENT = ("SpectrogramNetLSTM", "SpectrogramNetVAE")


def load(path):
    """Configuration, weights and the rest of a vector."""
    with np.load(path) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files if name != "config"}
        config = json.loads(str(file["config"]))
    state = {name[6:]: value for name, value in arrays.items() if name.startswith("state/")}
    return config, state, arrays


def net(state, **changes):
    """What the importer makes of a network of theirs."""
    options = {**OPTIONS, **changes}
    config = {"system": "auralflow", "kind": "afnet", "class": options.pop("model_type"), **options}
    assert handles(config)
    return from_reference(config, state)


def magnitudes(batch=3, bins=65, frames=40, channels=1):
    return 3 * torch.rand(batch, channels, bins, frames, generator=torch.Generator().manual_seed(7))


def near(found, expected, atol=3e-4):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


class TestVectors:
    @pytest.mark.parametrize("name", ["simple", "simple_options", "lstm", "vae"])
    def test_masks(self, shared, name):
        config, state, arrays = load(shared / "reference" / "auralflow" / f"spectrogram_net_{name}.npz")
        noise = {"noise": arrays["mid/eps"]} if name == "vae" else {}
        run = from_reference(config, state)
        near(run(arrays["input"], **noise), arrays["output"])
        if name == "vae":
            near(run(arrays["input"]), arrays["output_eps_zero"])

    @pytest.mark.parametrize(("name", "full_scale"), [("mask_model_separate", 1), ("separate_audio", 2**15)])
    def test_audio(self, shared, name, full_scale):
        config, state, arrays = load(shared / "reference" / "auralflow" / f"{name}.npz")
        near(from_reference(config, state)(arrays["input"]), arrays["output"], 1e-4 * full_scale)

    def test_the_end_is_dropped_there_and_kept_here(self, shared):
        config, state, arrays = load(shared / "reference" / "auralflow" / "separate_audio.npz")
        mixture = arrays["input"].mean(dim=0)[None, None] / 2**15
        separator = recognize(state).separator
        assert from_reference(config, state)(arrays["input"]).shape == (1, 23850)
        with torch.no_grad():
            assert separator(mixture).shape == (1, 1, 1, 26400)


class TestNetworks:
    """Each option, computed step by step from the weights."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"num_channels": 2, "num_fft_bins": 50, "num_frames": 67},
            {"leak_factor": 0.2, "normalize_input": False, "normalize_output": False},
            {"mask_act_fn": "hardtanh"},
            {"mask_act_fn": "softmax", "num_channels": 2},
            *({"mask_act_fn": name} for name in ("relu", "tanh", "prelu", "selu", "elu", "unheard of")),
            {"hidden_channels": 3},
            *({"model_type": kind, "input_axis": axis} for kind in RECURRENT for axis in (0, 1)),
            {"model_type": "SpectrogramNetLSTM", "num_frames": 100, "num_channels": 2, "recurrent_depth": 1},
            {"model_type": "SpectrogramNetVAE", "num_frames": 70, "hidden_size": 9, "normalize_input": False},
        ],
    )
    @torch.no_grad()
    def test_masks_are_the_published_ones(self, changes):
        state = published_state(**changes)
        options = {**OPTIONS, **changes}
        x = magnitudes(3, options["num_fft_bins"], options["num_frames"], options["num_channels"])
        expected = published_masks(state, x, **changes)
        assert expected.std() > 0.01
        near(net(state, **changes)(x), expected, 1e-5)

    @torch.no_grad()
    def test_the_noise_of_a_vae_is_replayed(self):
        state = published_state(model_type="SpectrogramNetVAE")
        run = net(state, model_type="SpectrogramNetVAE")
        noise = torch.randn(3, 2, 32)
        expected = published_masks(state, magnitudes(), noise, model_type="SpectrogramNetVAE")
        near(run(magnitudes(), noise=noise), expected, 1e-5)
        assert (run(magnitudes()) - expected).abs().max() > 0.01
        with pytest.raises(ModelError, match="SpectrogramNet draws no noise"):
            net(published_state())(magnitudes(), noise=noise)

    @pytest.mark.parametrize(
        "changes", [{"mask_act_fn": "elu"}, {"model_type": "SpectrogramNetLSTM", "input_axis": 0}]
    )
    @torch.no_grad()
    def test_without_gains_for_each_frame_any_number_is_seen_at_once(self, changes):
        changes |= {"normalize_input": False}
        state = published_state(**changes)
        x = magnitudes(2, 65, 104)
        near(net(state, **changes)(x), published_masks(state, x, **changes), 1e-5)

    def test_its_lstm_mixes_the_items_of_a_batch_and_that_of_an_import_does_not(self):
        changes = {"model_type": "SpectrogramNetLSTM"}
        state = published_state(**changes)
        run, separator = net(state, **changes), recognize(state).separator
        with torch.no_grad():
            alone = torch.cat([run(item[None]) for item in magnitudes()])
            assert (run(magnitudes()) - alone).abs().max() > 0.01
            near(separator.network(magnitudes()), alone, 1e-5)

    @pytest.mark.parametrize("name", [name for name in COMPLEXITY if not name.startswith("_")])
    def test_parameters_are_those_of_the_original(self, name):
        """Of its code, that is: its README claims other numbers."""
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


SETTINGS = {
    "model_type": "SpectrogramNetLSTM",
    "targets": ["drums"],
    "num_channels": 2,
    "num_hidden_channels": 2,
    "sample_length": 2,
    "sample_rate": 8000,
    "dropout_p": 0.3,
    "leak_factor": 0.1,
    "normalize_input": False,
    "normalize_output": True,
    "recurrent_depth": 2,
    "hidden_size": 6,
    "input_axis": 1,
    "mask_act_fn": "hardtanh",
    "num_fft": 128,
    "window_size": 100,
    "hop_length": 40,
}


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
        # Only the end, beyond which they see zeros, differs.
        near(separator(mixture)[0, 0, :, :15000], expected[:, :15000], 0.05)

    @pytest.mark.parametrize(("n_fft", "length"), [(128, 100), (129, 129)])
    @torch.no_grad()
    def test_windows_may_overlap_by_less_than_half_and_be_odd(self, n_fft, length):
        sizes = {"num_fft": n_fft, "window_size": length, "hop_length": 64, "num_channels": 1}
        frames = 251 + (n_fft + 1) % 2
        settings = {"system": "auralflow", "kind": "afmask", **SETTINGS, **sizes, "num_frames": frames}
        state = published_state(**settings, num_fft_bins=n_fft // 2 + 1)
        mixture = torch.randn(1, 1, 16000)
        window = torch.hann_window(length)
        padded = torch.nn.functional.pad(mixture[0], (0, 64))
        spectrum = torch.stft(
            padded, n_fft, 64, length, window, center=True, pad_mode="reflect", return_complex=True
        )
        assert spectrum.shape[-1] == frames
        masks = published_masks(state, spectrum[None].abs(), **settings)[0]
        expected = torch.istft(masks * spectrum, n_fft, 64, length, window, length=16064)
        near(from_reference(settings, state)(mixture)[0], expected, 1e-4)

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


def test_an_option_that_is_missing_is_named():
    config = {"system": "auralflow", "kind": "afnet", "class": "SpectrogramNetSimple"}
    with pytest.raises(ModelError, match="num_fft_bins"):
        from_reference(config, {})


def test_losses_are_not_this_importer_s():
    assert not handles({"system": "auralflow", "kind": "aflosses"})
