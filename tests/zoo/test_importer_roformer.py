"""Checkpoints of RoFormers become models with the settings of a YAML; faults are named in one line."""

from __future__ import annotations

import pickle
import shutil

import pytest
import torch
import yaml

import soloist
from soloist.errors import ModelError, SoloistError
from soloist.zoo import card_of, import_checkpoint, read_state
from soloist.zoo.importers.msst_options import read_options


class Foreign:
    """Object whose unpickling would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def forms(shared):
    return shared / "reference" / "roformer" / "checkpoint_forms"


@pytest.fixture
def plain(forms, tmp_path):
    """A checkpoint in a folder of its own, without settings."""
    (tmp_path / "there").mkdir()
    return shutil.copy(forms / "plain.ckpt", tmp_path / "there" / "plain.ckpt")


def settings_with(forms, path, **changes):
    """Write the settings with other values in the section `model`; None removes one."""
    options = read_options(forms / "config.yaml")
    options["model"] |= changes
    options["model"] = {key: value for key, value in options["model"].items() if value is not None}
    path.write_text(yaml.safe_dump(options))
    return path


def refusal(checkpoint, folder, **options):
    with pytest.raises(SoloistError) as caught:
        import_checkpoint(checkpoint, folder, **options)
    assert "\n" not in str(caught.value)
    assert not folder.exists()
    return str(caught.value)


@pytest.mark.parametrize("name", ["plain.yaml", "plain.ckpt.yaml", "plain.yml", "any.yaml"])
def test_settings_beside_the_checkpoint_are_found(forms, plain, tmp_path, name):
    shutil.copy(forms / "config.yaml", plain.parent / name)
    folder = import_checkpoint(plain, tmp_path / "model")
    assert soloist.load(folder).sources == ("vocals",)
    card = card_of(folder)
    assert [file.filename for file in card.files] == ["plain.ckpt", name]
    assert all(len(file.sha256) == 64 for file in card.files)
    assert card.licence.stated == "not stated"


def test_given_settings_precede_those_beside_the_checkpoint(forms, plain, tmp_path):
    (plain.parent / "plain.yaml").write_text("audio: {}")
    for given in (
        {"path": plain, "settings": forms / "config.yaml"},
        {"path": [plain, forms / "config.yaml"]},
    ):
        assert soloist.load(import_checkpoint(folder=tmp_path / "model", overwrite=True, **given)).sources


def test_settings_of_several_files_are_refused(forms, plain, tmp_path):
    (tmp_path / "other.yaml").write_text("audio: {}")
    paths = [plain, forms / "config.yaml", tmp_path / "other.yaml"]
    assert "are one file" in refusal(paths, tmp_path / "model")


def test_two_settings_beside_the_checkpoint_are_neither_taken(forms, plain, tmp_path):
    for name in ("one.yaml", "two.yaml"):
        shutil.copy(forms / "config.yaml", plain.parent / name)
    assert "--config" in refusal(plain, tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"depth": 2}, "the weights do not fit"),
        ({"dim": 16}, "size mismatch"),
        ({"mask_estimator_depth": 3}, "another mask_estimator_depth"),
        ({"num_stems": 2}, "2 stems, but name vocals"),
        ({"dim": None}, "have no 'dim'"),
        ({"value_residual": True}, "unknown key 'value_residual'"),
        ({"freqs_per_bands": [2, 3]}, "size mismatch"),
    ],
)
def test_wrong_settings_are_named(forms, plain, tmp_path, changes, told):
    settings = settings_with(forms, tmp_path / "wrong.yaml", **changes)
    assert told in refusal(plain, tmp_path / "model", settings=settings)


def test_a_missing_weight_is_named(forms, plain, tmp_path):
    state = read_state(plain)
    del state["band_split.to_features.0.1.bias"]
    torch.save(state, plain)
    told = refusal(plain, tmp_path / "model", settings=forms / "config.yaml")
    assert "band_split.to_features.0.1.bias" in told


@pytest.mark.parametrize("length", [10, 1000, 50_000])
def test_a_truncated_file_is_named(forms, plain, tmp_path, length):
    plain.write_bytes(plain.read_bytes()[:length])
    told = refusal(plain, tmp_path / "model", settings=forms / "config.yaml")
    assert "plain.ckpt is truncated or damaged" in told


def test_objects_of_foreign_classes_are_not_made(forms, plain, tmp_path):
    state, trap = read_state(plain), tmp_path / "trap"
    torch.save({"state_dict": state, "callbacks": Foreign(trap)}, plain)
    assert soloist.load(import_checkpoint(plain, tmp_path / "model", settings=forms / "config.yaml"))
    torch.save(Foreign(trap), plain)
    assert "holds no weights" in refusal(plain, tmp_path / "none", settings=forms / "config.yaml")
    plain.write_bytes(pickle.dumps(Foreign(trap), protocol=2))
    assert "plain.ckpt" in refusal(plain, tmp_path / "none", settings=forms / "config.yaml")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("settings", "system"),
    [
        ({"model": {"num_repeat_mask": 4}}, "Mamba"),
    ],
)
def test_systems_that_soloist_does_not_have_are_named(tmp_path, settings, system):
    torch.save({"encoder.weight": torch.zeros(2, 2)}, tmp_path / "film.ckpt")
    (tmp_path / "film.yaml").write_text(yaml.safe_dump(settings))
    assert system in refusal(tmp_path / "film.ckpt", tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "fork"),
    [
        ("layers.0.0.to_value_residual_mix.weight", "value residuals"),
        ("mask_estimators.0.segm.weight", "HyperACE"),
        ("lora_A.weight", "low-rank adapter"),
    ],
)
def test_forks_are_named(plain, tmp_path, name, fork):
    torch.save({**read_state(plain), name: torch.zeros(2)}, plain)
    with pytest.raises(ModelError, match=fork):
        import_checkpoint(plain, tmp_path / "model")
