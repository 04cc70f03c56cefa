import copy
import sys
from typing import ClassVar

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from soloist import zoo
from soloist.errors import ConfigError, ModelError, UsageError
from toy_separators import Smoother

CONFIG = {"class_path": "toy_separators.Smoother", "init_args": {"reach": 3, "channels": 2}}
CARD = {"system": "toy"}


@pytest.fixture
def folder(tmp_path):
    return zoo.save_model(Smoother(reach=3, channels=2), CONFIG, CARD, tmp_path / "toy")


def rewrite(folder, change):
    config = copy.deepcopy(CONFIG)
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_a_saved_model_loads_with_nothing_else_and_gives_the_same_estimates(folder):
    mixture = torch.randn(1, 2, 50)
    saved, loaded = Smoother(reach=3, channels=2), zoo.load(folder)
    assert not loaded.training
    torch.testing.assert_close(loaded(mixture), saved(mixture), rtol=0, atol=0)
    assert sorted(path.name for path in folder.iterdir()) == ["card.yaml", "config.yaml", "model.safetensors"]


def test_the_folder_of_a_training_stands_for_its_model(tmp_path):
    zoo.save_model(
        Smoother(reach=3, channels=2), CONFIG, {**CARD, "title": "trained"}, tmp_path / "run" / "model"
    )
    (tmp_path / "run" / "recipe.yaml").write_text("name: run")
    assert zoo.card_of(tmp_path / "run").title == "trained"
    assert isinstance(zoo.load(str(tmp_path / "run")), Smoother)
    with pytest.raises(ModelError, match=r"is not a model folder: card\.yaml is missing"):
        zoo.card_of(tmp_path)


def test_the_weights_come_from_the_file(folder):
    path = folder / "model.safetensors"
    save_file({"taps": load_file(path)["taps"] * 0 + 7}, path)
    assert (zoo.load(str(folder)).taps == 7).all()


def test_the_card_is_completed_from_the_separator(folder):
    card = zoo.card_of(folder)
    assert (card.name, card.sources, card.sample_rate, card.channels) == ("toy", ("smooth", "rough"), 8000, 2)


def test_every_file_may_be_read_by_whoever_may_read_the_card(folder):
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_tied_weights_are_saved(tmp_path):
    separator = Smoother(channels=1)
    separator.register_buffer("again", separator.taps)
    saved = zoo.save_model(separator, CONFIG, CARD, tmp_path / "tied")
    weights = load_file(saved / "model.safetensors")
    assert torch.equal(weights["again"], weights["taps"])


class TestWriting:
    def test_a_model_is_replaced_only_when_that_is_wanted(self, folder):
        other = Smoother(reach=3, channels=2)
        other.taps.fill_(2)
        with pytest.raises(ModelError, match="already"):
            zoo.save_model(other, CONFIG, CARD, folder)
        zoo.save_model(other, CONFIG, CARD, folder, overwrite=True)
        assert (zoo.load(folder).taps == 2).all()

    def test_a_folder_with_anything_else_is_left_as_it_is(self, folder):
        (folder / "diary.txt").write_text("dear")
        with pytest.raises(ModelError, match=r"diary\.txt"):
            zoo.save_model(Smoother(), CONFIG, CARD, folder, overwrite=True)
        assert (folder / "diary.txt").read_text() == "dear"
        assert zoo.load(folder)

    def test_a_failure_leaves_neither_a_folder_nor_scratch(self, tmp_path):
        unsavable = {**CONFIG, "init_args": {"reach": object()}}
        with pytest.raises(ConfigError, match="plain values"):
            zoo.save_model(Smoother(), unsavable, CARD, tmp_path / "broken")
        assert list(tmp_path.iterdir()) == []

    def test_a_failure_to_overwrite_leaves_the_old_model(self, folder):
        with pytest.raises(ConfigError):
            zoo.save_model(Smoother(), {**CONFIG, "init_args": {"x": object()}}, CARD, folder, overwrite=True)
        assert zoo.load(folder)
        assert [path.name for path in folder.parent.iterdir()] == ["toy"]

    def test_a_file_in_the_way_is_named(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(ModelError, match="in the way"):
            zoo.save_model(Smoother(), CONFIG, CARD, tmp_path / "file", overwrite=True)
        with pytest.raises(ModelError, match="cannot write"):
            zoo.save_model(Smoother(), CONFIG, CARD, tmp_path / "file" / "below")

    def test_an_unknown_key_of_the_card_is_refused_with_the_nearest(self, tmp_path):
        with pytest.raises(ConfigError, match="licence"):
            zoo.save_model(Smoother(), CONFIG, {**CARD, "license": {}}, tmp_path / "toy")


class TestWeights:
    def test_missing_extra_and_misshaped_tensors_are_named_with_the_folder(self, folder):
        path = folder / "model.safetensors"
        save_file({f"other{index}": torch.zeros(1) for index in range(5)}, path)
        with pytest.raises(
            ModelError, match=r"missing: taps; unexpected: other0, other1, other2 and 2 more"
        ) as error:
            zoo.load(folder)
        assert str(folder) in str(error.value)
        save_file({"taps": torch.zeros(1)}, path)
        with pytest.raises(ModelError, match="another shape: taps"):
            zoo.load(folder)

    @pytest.mark.parametrize("content", [b"", b"not weights", b"\xff" * 100])
    def test_a_damaged_file_is_said_to_be_damaged(self, folder, content):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            zoo.load(folder)

    def test_a_truncated_file_is_said_to_be_damaged(self, folder):
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ModelError, match="damaged"):
            zoo.load(folder)

    @pytest.mark.parametrize("name", ["config.yaml", "model.safetensors"])
    def test_a_missing_file_is_named(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(ModelError, match=name):
            zoo.load(folder)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("init_args", "message"),
        [
            ({"raech": 3}, "did you mean 'reach'"),
            ({"reach": "three"}, "reach.*int.*three"),
            ({"sample_rte": 8000}, "did you mean 'sample_rate'"),
            ({"normalization": "sometimes"}, "normalization"),
            ({"reach": {"class_path": "toy_separators.Nothing"}}, "no class 'Nothing'"),
        ],
    )
    def test_a_wrong_argument_is_named_in_one_line(self, folder, init_args, message):
        rewrite(folder, lambda config: config.update(init_args=init_args))
        with pytest.raises(ConfigError, match=message) as error:
            zoo.load(folder)
        assert "\n" not in str(error.value)
        assert "config.yaml" in str(error.value)

    def test_a_missing_argument_is_named(self, folder):
        rewrite(
            folder,
            lambda config: config.update(class_path="soloist.separators.Separator", init_args={}),
        )
        with pytest.raises(ConfigError, match="missing sources"):
            zoo.load(folder)

    @pytest.mark.parametrize("text", ["", "- a list", "1", "a: [", "1: 2", "\x00"])
    def test_what_is_not_a_mapping_is_refused(self, folder, text):
        (folder / "config.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"config\.yaml"):
            zoo.load(folder)

    def test_yaml_that_names_python_objects_is_refused(self, folder):
        (folder / "config.yaml").write_text("class_path: !!python/object/apply:os.getcwd []")
        with pytest.raises(ConfigError, match="not valid YAML"):
            zoo.load(folder)

    def test_what_is_not_a_separator_is_refused(self, folder):
        rewrite(folder, lambda config: config.update(class_path="torch.nn.Identity", init_args={}))
        with pytest.raises(ConfigError, match="not a separator"):
            zoo.load(folder)


class TestForeignCode:
    """A model's files cannot make this program import or call code that it has not imported itself."""

    @pytest.fixture(autouse=True)
    def trap(self, tmp_path, monkeypatch):
        (tmp_path / "trap").mkdir()
        (tmp_path / "trap" / "trapdoor.py").write_text(
            f"open({str(tmp_path / 'sprung')!r}, 'w')\nfrom torch.nn import Identity as Net\n"
        )
        monkeypatch.syspath_prepend(tmp_path / "trap")
        yield
        assert not (tmp_path / "sprung").exists()
        assert "trapdoor" not in sys.modules

    @pytest.mark.parametrize(
        "value",
        [
            {"class_path": "trapdoor.Net"},
            {"class_path": "soloist..trapdoor.Net"},
            {"class_path": "trapdoor"},
            {"class_path": ["trapdoor.Net"]},
            {
                "class_path": "torch.nn.Identity",
                "init_args": {"deep": [{"x": {"class_path": "trapdoor.Net"}}]},
            },
            {"class_path": "torch.nn.Identity", "dict_kwargs": {"x": "trapdoor.Net"}},
            "trapdoor.Net",
        ],
    )
    def test_an_argument_that_names_a_foreign_class(self, folder, value):
        rewrite(folder, lambda config: config["init_args"].update(reach=value))
        with pytest.raises(ConfigError):
            zoo.load(folder)

    def test_a_separator_of_a_foreign_class(self, folder):
        rewrite(folder, lambda config: config.update(class_path="trapdoor.Net"))
        with pytest.raises(ConfigError, match="import trapdoor in your program first"):
            zoo.load(folder)

    @pytest.mark.parametrize("class_path", ["subprocess.Popen", "os.system", "builtins.exec", "pathlib.Path"])
    def test_what_is_imported_but_not_a_network(self, folder, class_path):
        import subprocess  # noqa: F401

        rewrite(folder, lambda config: config["init_args"].update(reach={"class_path": class_path}))
        with pytest.raises(ConfigError):
            zoo.load(folder)

    @pytest.mark.parametrize("source", ["lead.vocals", "__main__", "...", "no such.module", "", "ü.ö"])
    def test_a_text_that_names_no_code_is_a_text(self, folder, source):
        config = {"class_path": "toy_separators.Smoother", "init_args": {"normalization": source}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(ConfigError, match="normalization: "):
            zoo.load(folder)

    @pytest.mark.parametrize("text", ["__main__.X", "os.path", "soloist.zoo.load", "trapdoor.Net"])
    def test_a_text_that_names_code_is_refused(self, folder, text):
        rewrite(folder, lambda config: config["init_args"].update(reach=text))
        with pytest.raises(ConfigError, match="names code"):
            zoo.load(folder)

    def test_such_a_model_cannot_be_saved_either(self, tmp_path):
        with pytest.raises(ConfigError, match="trapdoor"):
            zoo.save_model(Smoother(), {"class_path": "trapdoor.Net"}, CARD, tmp_path / "toy")


class TestNames:
    def test_an_unknown_name_gets_the_nearest(self, home):
        with pytest.raises(ModelError, match="did you mean 'tdc17-vocals-1'"):
            zoo.load("tdc17-vocal-1")

    @pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all"])
    def test_a_path_that_is_not_there_is_named(self, home, path):
        with pytest.raises(ModelError, match=r"no model folder .*nowhere"):
            zoo.load(path)

    def test_a_checkpoint_is_to_be_imported_first(self, home, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "weights.pt").write_bytes(b"x")
        for spelling in ("weights.pt", tmp_path / "weights.pt"):
            with pytest.raises(ModelError, match=r"soloist models import .*weights\.pt"):
                zoo.load(spelling)

    def test_a_model_that_is_not_on_disk_says_how_to_get_it(self, home):
        with pytest.raises(ModelError, match="soloist models download sudormrf-u16-wsj0"):
            zoo.load("sudormrf-u16-wsj0")

    def test_a_known_name_wins_over_a_folder_of_that_name(self, home, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "hpss").mkdir()
        assert zoo.load("hpss").sources == ("harmonic", "percussive")

    def test_a_model_in_the_models_folder_is_found_by_name(self, home):
        zoo.save_model(Smoother(reach=3, channels=2), CONFIG, CARD, home / "models" / "mine")
        assert zoo.load("mine").reach == 3
        assert zoo.resolve_path("mine") == home / "models" / "mine"

    def test_removing_deletes_the_folder_and_nothing_else(self, home):
        for name in ("mine", "yours"):
            zoo.save_model(Smoother(reach=3, channels=2), CONFIG, CARD, home / "models" / name)
        zoo.remove("mine")
        assert [path.name for path in (home / "models").iterdir()] == ["yours"]
        with pytest.raises(ModelError, match="'mine'"):
            zoo.remove("mine")

    @pytest.mark.parametrize("name", ["hpss", "sudormrf-u16-wsj0"])
    def test_what_is_not_there_cannot_be_removed(self, home, name):
        with pytest.raises(ModelError, match="nothing to remove"):
            zoo.remove(name)

    @pytest.mark.parametrize("name", ["..", "../home", "models/..", "/", "", "."])
    def test_a_name_never_leads_out_of_the_models_folder(self, home, name):
        (home / "models").mkdir(parents=True)
        with pytest.raises(ModelError):
            zoo.remove(name)
        assert (home / "models").is_dir()


class TestOverrides:
    def test_a_separator_without_weights_takes_arguments(self, home):
        separator = zoo.load("hpss", sample_rate=8000, channels=1)
        assert (separator.sample_rate, separator.channels) == (8000, 1)

    def test_a_wrong_argument_is_refused(self, home):
        with pytest.raises(ConfigError, match="did you mean 'sample_rate'"):
            zoo.load("hpss", sample_rat=8000)

    def test_a_model_with_weights_takes_none(self, folder):
        with pytest.raises(UsageError, match="sample_rate"):
            zoo.load(folder, sample_rate=8000)


class TestShippedModels:
    """Models that are part of the package: no download, half precision on disk, not to be removed."""

    SHIPPED: ClassVar = [card.name for card in zoo.models() if card.shipped]

    def test_there_are_some(self):
        assert {"tiny-sudormrf-digits", "tiny-tfc-tdf-songs"} <= set(self.SHIPPED)

    @pytest.mark.parametrize("name", SHIPPED)
    def test_they_are_small_loaded_in_single_precision_and_separate(self, name):
        card = zoo.find(name)
        assert card.on_disk
        assert (card.folder / "model.safetensors").stat().st_size < 6e6
        assert card.quality
        assert card.training_data
        assert card.licence.weights
        separator = zoo.load(name)
        assert {parameter.dtype for parameter in separator.parameters()} == {torch.float32}
        mixture = torch.randn(1, separator.channels, separator.sample_rate // 2)
        with torch.no_grad():
            assert separator(mixture).isfinite().all()

    @pytest.mark.parametrize("name", SHIPPED)
    def test_loading_draws_no_weights_and_may_take_several_readings(self, name, monkeypatch):
        states, generator = [], torch.get_rng_state()
        for read_at_once in (2**26, 2**14):
            monkeypatch.setattr("soloist.zoo.model_folder._READ_AT_ONCE", read_at_once)
            states.append(zoo.load(name).state_dict())
        assert torch.equal(torch.get_rng_state(), generator)
        stored = load_file(zoo.find(name).folder / "model.safetensors")
        for key, value in stored.items():
            assert torch.equal(states[0][key], value.to(states[0][key].dtype))
            assert torch.equal(states[1][key], states[0][key])

    @pytest.mark.parametrize("name", SHIPPED)
    def test_they_stay(self, name):
        with pytest.raises(ModelError, match="part of Soloist"):
            zoo.remove(name)
        assert zoo.find(name).on_disk


class TestCopies:
    """Copies of trained models under another name."""

    def test_half_precision_takes_half_the_space_and_separates_alike(self, folder, tmp_path):
        zoo.copy_model(folder, tmp_path / "whole", "copy")
        zoo.copy_model(folder, tmp_path / "half", half=True)
        assert {value.dtype for value in load_file(tmp_path / "half/model.safetensors").values()} == {
            torch.half
        }
        assert {value.dtype for value in load_file(tmp_path / "whole/model.safetensors").values()} == {
            torch.float
        }
        assert zoo.card_of(tmp_path / "whole").name == "copy"
        assert zoo.card_of(tmp_path / "half").name == "half"
        original, half = zoo.load(folder), zoo.load(tmp_path / "half")
        for key, value in original.state_dict().items():
            assert torch.allclose(half.state_dict()[key].double(), value.double(), rtol=1e-3, atol=1e-6)

    def test_what_half_precision_cannot_hold_is_refused(self, folder, tmp_path):
        weights = folder / "model.safetensors"
        state = load_file(weights)
        save_file(
            {key: value + 1e6 if value.is_floating_point() else value for key, value in state.items()},
            weights,
        )
        with pytest.raises(ModelError, match="half precision cannot hold"):
            zoo.copy_model(folder, tmp_path / "half", half=True)
        assert not (tmp_path / "half").exists()
