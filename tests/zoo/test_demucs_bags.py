"""Bags of Demucs: YAML files with their models beside them, and the files of several models."""

from __future__ import annotations

import shutil

import pytest
import torch

from soloist.errors import ModelError
from soloist.separators import CombinedSeparator
from soloist.zoo import import_checkpoint, load
from soloist.zoo.importers.demucs_bags import Bag

MEMBERS = ["5a0e1d2c-133c370d.th", "7c203f4e-eb8e3489.th"]


@pytest.fixture
def samples(shared, tmp_path):
    folder = tmp_path / "published"
    shutil.copytree(shared / "reference" / "demucs" / "samples", folder)
    folder.chmod(0o755)
    return folder


def test_a_bag_is_the_weighted_sum_of_its_models(samples, tmp_path):
    bag = load(import_checkpoint(samples / "sample_bag.yaml", tmp_path / "bag"))
    assert isinstance(bag, CombinedSeparator)
    first, second = (load(import_checkpoint(samples / name, tmp_path / name[:8])) for name in MEMBERS)
    assert bag.weights == [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0]]
    # The bag's 44 s are longer than the HTDemucs takes.
    assert [part.chunk_length for part in bag.parts] == [first.chunk_length, 44 * bag.sample_rate]
    mixture = 0.1 * torch.randn(1, bag.channels, first.chunk_length)
    with torch.no_grad():
        found, ones, twos = (separator.estimate(mixture) for separator in (bag, first, second))
    expected = torch.stack([(ones[:, 0] + twos[:, 0]) / 2, ones[:, 1], twos[:, 2], twos[:, 3]], dim=1)
    torch.testing.assert_close(found, expected)
    assert len(bag.only(["bass"]).parts) == 1


def test_the_files_of_a_bag_count_alike_without_weights(samples, tmp_path):
    bag = load(import_checkpoint([samples / name for name in MEMBERS], tmp_path / "bag", "two"))
    assert bag.weights == [[1.0] * 4] * 2


def test_a_missing_model_is_named(samples, tmp_path):
    (samples / MEMBERS[1]).unlink()
    with pytest.raises(ModelError, match="7c203f4e is not beside it"):
        import_checkpoint(samples / "sample_bag.yaml", tmp_path / "bag")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: []", "list of names"),
        ("models: [../../escape]", "list of names"),
        ("models: ['5a0e1d2c']\nweights: [[1, a]]", "list of numbers"),
        ("models: ['5a0e1d2c']\nweights: [[1], [1]]", "list of numbers"),
        ("models: ['5a0e1d2c']\nsegment: -1", "seconds"),
        ("just text", "mapping|keys"),
    ],
)
def test_a_file_that_is_no_bag_is_refused(tmp_path, text, message):
    path = tmp_path / "bag.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        Bag.read(path)
