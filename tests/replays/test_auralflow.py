"""Auralflow's networks, mask model and separation of files against recorded outputs and formulas."""

import pytest
import torch

from published_auralflow import OPTIONS, SETTINGS, magnitudes, published_masks, published_state
from reference_vectors import ReferenceVector
from replays import from_reference
from replays.auralflow import handles
from soloist.errors import ModelError
from soloist.zoo.importers import recognize

RECURRENT = ("SpectrogramNetLSTM", "SpectrogramNetVAE")


def net(state, **changes):
    """Replay of one of auralflow's networks."""
    options = {**OPTIONS, **changes}
    config = {"system": "auralflow", "kind": "afnet", "class": options.pop("model_type"), **options}
    assert handles(config)
    return from_reference(config, state)


def near(found, expected, atol=3e-4):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


class TestVectors:
    @pytest.mark.parametrize("name", ["simple", "simple_options", "lstm", "vae"])
    def test_masks(self, shared, name):
        vector = ReferenceVector(shared / "reference" / "auralflow" / f"spectrogram_net_{name}.npz")
        noise = {"noise": vector["mid/eps"]} if name == "vae" else {}
        near(vector.run(**noise), vector["output"])
        if name == "vae":
            near(vector.run(), vector["output_eps_zero"])

    @pytest.mark.parametrize(("name", "full_scale"), [("mask_model_separate", 1), ("separate_audio", 2**15)])
    def test_audio(self, shared, name, full_scale):
        vector = ReferenceVector(shared / "reference" / "auralflow" / f"{name}.npz")
        near(vector.run(), vector["output"], 1e-4 * full_scale)

    def test_the_end_is_dropped_there_and_kept_here(self, shared):
        vector = ReferenceVector(shared / "reference" / "auralflow" / "separate_audio.npz")
        mixture = vector["input"].mean(dim=0)[None, None] / 2**15
        separator = recognize(vector.state).separator
        assert vector.run().shape == (1, 23850)
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


@pytest.mark.parametrize(("n_fft", "length"), [(128, 100), (129, 129)])
@torch.no_grad()
def test_windows_may_overlap_by_less_than_half_and_be_odd(n_fft, length):
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


def test_an_option_that_is_missing_is_named():
    config = {"system": "auralflow", "kind": "afnet", "class": "SpectrogramNetSimple"}
    with pytest.raises(ModelError, match="num_fft_bins"):
        from_reference(config, {})


def test_losses_are_not_this_importer_s():
    assert not handles({"system": "auralflow", "kind": "aflosses"})
