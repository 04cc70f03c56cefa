"""Files of TensorFlow, read without it."""

import pytest
import torch

from published_spleeter import write_bundle
from soloist.errors import ModelError
from soloist.zoo.tensorflow_bundle import bundle_files, masked_crc32c, read_bundle

STATE = {
    "conv2d/kernel": torch.arange(24.0).reshape(2, 3, 4),
    "conv2d/kernel/Adam": torch.zeros(2, 3, 4),
    "conv2d/bias": torch.tensor([0.5]),
    "global_step": torch.tensor(12),
}


def test_variables_come_back_without_those_of_an_optimiser(tmp_path):
    values = read_bundle(bundle_files(write_bundle(tmp_path, STATE)))
    assert sorted(values) == ["conv2d/bias", "conv2d/kernel", "global_step"]
    for name, value in values.items():
        assert torch.equal(value, STATE[name])
        assert value.dtype == STATE[name].dtype


@pytest.mark.parametrize("named", [".", "model", "model.index", "model.data-00000-of-00001"])
def test_a_bundle_is_found_by_any_of_its_names(tmp_path, named):
    index = write_bundle(tmp_path, STATE)
    assert bundle_files(tmp_path / named) == [index, tmp_path / "model.data-00000-of-00001"]


def test_other_files_and_two_bundles_are_none(tmp_path):
    index = write_bundle(tmp_path, STATE)
    assert bundle_files(tmp_path / "checkpoint") == bundle_files(tmp_path / "nothing") == []
    index.with_name("other.index").write_bytes(index.read_bytes())
    assert bundle_files(tmp_path) == []


def damage(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("position", range(0, 140, 4))
def test_damage_of_the_variables_in_the_index_is_one_line(tmp_path, position):
    index = write_bundle(tmp_path, STATE)
    damage(index, position)
    with pytest.raises(ModelError, match=r"model\.index is damaged, or not supported") as raised:
        read_bundle(bundle_files(tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("length", [0, 1, 47, 48, 100, 200])
def test_a_truncated_index_is_one_line(tmp_path, length):
    index = write_bundle(tmp_path, STATE)
    index.write_bytes(index.read_bytes()[:length])
    with pytest.raises(ModelError, match="damaged, or not supported"):
        read_bundle(bundle_files(tmp_path))


def test_damaged_and_missing_data_are_named(tmp_path):
    write_bundle(tmp_path, STATE)
    data = tmp_path / "model.data-00000-of-00001"
    damage(data, 20)
    with pytest.raises(ModelError, match="conv2d/kernel has not the bytes that were written"):
        read_bundle(bundle_files(tmp_path))
    data.write_bytes(data.read_bytes()[:3])
    with pytest.raises(ModelError, match="conv2d/bias has not the bytes"):
        read_bundle(bundle_files(tmp_path))
    data.unlink()
    with pytest.raises(ModelError, match="0 of its 1 data files are beside it"):
        read_bundle(bundle_files(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": 1}, "the index is compressed"),
        ({"dtype": 7}, "is of type 7, which is no number"),
        ({"dtype": 2}, "which are not those of its shape"),
    ],
)
def test_what_is_not_supported_is_refused(tmp_path, options, message):
    write_bundle(tmp_path, STATE, **options)
    with pytest.raises(ModelError, match=message):
        read_bundle(bundle_files(tmp_path))


def test_check_values_are_castagnolis_masked():
    # The usual check value of these digits, rotated by 15 bits, with TensorFlow's constant added.
    rotated = 0xE3069283 >> 15 | 0xE3069283 << 17 & 0xFFFFFFFF
    assert masked_crc32c(b"123456789") == (rotated + 0xA282EAD8) % 2**32
