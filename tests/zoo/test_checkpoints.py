import os
import sys
import types

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from soloist import zoo
from soloist.errors import ModelError, UsageError
from soloist.files import sha256_of
from soloist.zoo import read_state
from soloist.zoo.importers import recognize


def assert_same(state, expected):
    assert list(state) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=0)


class TestReading:
    @pytest.mark.parametrize(
        "wrap",
        [
            lambda state: state,
            lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
            lambda state: {"model_state_dict": state, "loss": 0.5},
            lambda state: {"model": {"state_dict": state}},
            lambda state: {f"module.{name}": value for name, value in state.items()},
        ],
        ids=["state dict", "lightning", "training", "nested", "data parallel"],
    )
    def test_the_state_dict_is_found(self, tmp_path, published_state, wrap):
        torch.save(wrap(published_state), tmp_path / "x.pt")
        assert_same(read_state(tmp_path / "x.pt"), published_state)

    def test_the_old_file_format_is_read(self, tmp_path, published_state):
        torch.save(published_state, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
        assert_same(read_state(tmp_path / "x.pt"), published_state)

    def test_what_was_saved_on_another_device_is_read(self, shared):
        state = read_state(shared / "weights" / "cac_tdc_17_vocals_top1.pt")
        assert {value.device.type for value in state.values()} == {"cpu"}

    def test_a_module_is_read_without_its_code(self, tmp_path, monkeypatch):
        author = types.ModuleType("authors_code")
        source = "class Net(nn.Sequential): pass"
        exec(source, {"nn": nn, "__name__": "authors_code"}, author.__dict__)
        monkeypatch.setitem(sys.modules, "authors_code", author)
        net = author.Net(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.LSTM(2, 3), nn.Sequential(nn.PReLU()))
        net[1].register_buffer("scratch", torch.zeros(4), persistent=False)
        torch.save(net, tmp_path / "x.pt")
        monkeypatch.delitem(sys.modules, "authors_code")
        assert_same(read_state(tmp_path / "x.pt"), net.state_dict())
        assert "authors_code" not in sys.modules


class Payload:
    """Object whose careless unpickling calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class TestHostileFiles:
    @pytest.mark.parametrize("function", [os.mkdir, os.system, exec, eval, open, __import__])
    @pytest.mark.parametrize("new_format", [True, False])
    def test_nothing_in_a_file_is_run(self, tmp_path, published_state, function, new_format):
        sprung = tmp_path / "sprung"
        argument = {
            os.mkdir: str(sprung),
            os.system: f"touch {sprung}",
            __import__: "this",
        }.get(function, f"__import__('os').mkdir({str(sprung)!r})")
        content = {**published_state, "payload": Payload(function, argument)}
        torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=new_format)
        try:
            state = read_state(tmp_path / "x.pt")
        except ModelError as error:
            assert "holds code" in str(error)  # noqa: PT017
        else:
            assert_same(state, published_state)
        assert not sprung.exists()
        assert "this" not in sys.modules

    def test_records_stand_for_classes_only_while_a_file_is_read(self, tmp_path):
        torch.save(nn.PReLU(), tmp_path / "x.pt")
        before = torch.serialization.get_safe_globals()
        read_state(tmp_path / "x.pt")
        assert set(torch.serialization.get_safe_globals()) == set(before)


class TestDamagedFiles:
    @pytest.mark.parametrize(
        "content", [b"", b"hello, I am text\n" * 20, b"\x80", b"PK\x03\x04", bytes(1000)]
    )
    def test_what_is_not_a_checkpoint_is_said_to_be_none(self, tmp_path, content):
        (tmp_path / "x.pt").write_bytes(content)
        with pytest.raises(ModelError, match=r"x\.pt (is|holds)") as error:
            read_state(tmp_path / "x.pt")
        assert "\n" not in str(error.value)

    def test_a_truncated_file_is_said_to_be_truncated(self, checkpoint):
        content = checkpoint.read_bytes()

        @given(st.integers(2, len(content) - 1))
        def check(length):
            checkpoint.write_bytes(content[:length])
            with pytest.raises(ModelError, match="truncated or damaged"):
                read_state(checkpoint)

        check()

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(ModelError, match=r"no checkpoint file .*x\.pt"):
            read_state(tmp_path / "x.pt")

    @pytest.mark.parametrize("content", [{}, {"epoch": 1}, [1, 2], None, {"state_dict": {}}])
    def test_a_file_without_weights_is_said_to_hold_none(self, tmp_path, content):
        torch.save(content, tmp_path / "x.pt")
        with pytest.raises(ModelError, match="holds no weights"):
            read_state(tmp_path / "x.pt")


class TestImporting:
    def test_the_model_folder_gives_what_the_importer_recognised(self, home, checkpoint, published_state):
        folder = zoo.import_checkpoint(checkpoint)
        assert folder == home / "models" / "published"
        mixture = torch.randn(1, 1, 800)
        expected = recognize(published_state).separator.eval()(mixture)
        torch.testing.assert_close(zoo.load("published")(mixture), expected, rtol=0, atol=0)
        assert zoo.load(folder).sources == zoo.find("published").sources

    def test_the_card_says_which_file_it_was(self, home, checkpoint):
        (file,) = zoo.card_of(zoo.import_checkpoint(checkpoint)).files
        assert (file.filename, file.sha256) == ("published.pt", sha256_of(checkpoint))
        assert file.size == checkpoint.stat().st_size

    def test_folder_and_name_are_taken(self, home, checkpoint, tmp_path):
        folder = zoo.import_checkpoint(checkpoint, tmp_path / "here", "talkers")
        assert folder == tmp_path / "here"
        assert zoo.card_of(folder).name == "talkers"
        assert not home.exists()

    @pytest.mark.parametrize("stem", ["my model (1)", "größe", "..", "-x"])
    def test_a_file_name_becomes_a_name_inside_the_models_folder(self, home, checkpoint, stem):
        folder = zoo.import_checkpoint(checkpoint.rename(checkpoint.with_name(f"{stem}.pt")))
        assert folder.parent == home / "models"
        assert zoo.find(folder.name).on_disk

    @pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "", ".hidden", "a/b", "a\\b"])
    def test_a_name_never_leads_out_of_the_models_folder(self, home, checkpoint, name):
        with pytest.raises(UsageError, match="cannot name a model"):
            zoo.import_checkpoint(checkpoint, name=name)
        assert not home.exists()

    def test_a_model_of_that_name_is_not_replaced(self, home, checkpoint):
        zoo.import_checkpoint(checkpoint)
        with pytest.raises(ModelError, match="already"):
            zoo.import_checkpoint(checkpoint)
        assert zoo.import_checkpoint(checkpoint, overwrite=True)

    def test_an_unknown_architecture_is_not_recognised(self, home, tmp_path):
        torch.save({"embedding.weight": torch.zeros(2, 3)}, tmp_path / "x.pt")
        with pytest.raises(ModelError, match=r"no importer recognises .*embedding\.weight"):
            zoo.import_checkpoint(tmp_path / "x.pt")
        assert not home.exists()

    def test_another_file_does_not_pass_for_a_known_model(self, home, checkpoint):
        with pytest.raises(ModelError, match="not the published file of tdc17-vocals-1"):
            zoo.import_checkpoint(checkpoint, name="tdc17-vocals-1")

    def test_without_a_hash_the_number_of_parameters_tells_models_apart(self, home, checkpoint):
        with pytest.raises(ModelError, match=r"not sudormrf-u16-wsj0: it has .* not 5,016,353"):
            zoo.import_checkpoint(checkpoint, name="sudormrf-u16-wsj0")

    @pytest.mark.parametrize("index", [1, 2, 3])
    def test_the_published_file_is_known_by_its_hash(self, shared, home, tmp_path, index):
        renamed = tmp_path / "renamed.pt"
        renamed.symlink_to(shared / "weights" / f"cac_tdc_17_vocals_top{index}.pt")
        folder = zoo.import_checkpoint(renamed)
        assert folder == home / "models" / f"tdc17-vocals-{index}"
        card = zoo.find(folder.name)
        assert card.on_disk
        assert zoo.card_of(folder).quality == card.quality
        separator = zoo.load(folder.name)
        assert (separator.sources, separator.sample_rate) == (card.sources, card.sample_rate)
        assert sum(weight.numel() for weight in separator.parameters()) == card.parameters
