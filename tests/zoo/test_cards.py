import logging
from urllib.parse import urlsplit

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from soloist import zoo
from soloist.errors import ConfigError, ModelError
from soloist.files import sha256_of
from soloist.separators import build_separator, sudormrf_preset
from soloist.zoo import Card, Licence, PublishedFile, Quality
from soloist.zoo.cards import _SHIPPED, TASKS

SHIPPED = sorted(_SHIPPED.glob("*.yaml"))
MINIMAL = {"name": "toy", "system": "toys", "title": "A toy", "sources": ["a", "b"]}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
class TestShippedCards:
    def test_it_is_found_by_the_name_of_its_file(self, path, home):
        card = zoo.find(path.stem)
        assert card.name == path.stem
        # What begins so is the path of a model, and no card is read to find that out.
        assert not any(alias.startswith(("/", "\\", ".", "~")) for alias in card.aliases)
        assert all(zoo.find(alias).name == card.name for alias in card.aliases)
        assert card.system
        assert card.citation
        assert card.task in TASKS

    def test_a_model_without_weights_is_there_and_is_what_its_card_says(self, path, home):
        card = zoo.find(path.stem)
        if card.config is None:
            assert not card.on_disk
            return
        assert card.on_disk
        separator = build_separator(card.config, card.name)
        assert separator.sources == card.sources
        assert sum(weight.numel() for weight in separator.parameters()) == card.parameters == 0

    def test_a_model_with_weights_says_where_they_are_published(self, path, home):
        card = zoo.find(path.stem)
        if card.config is not None:
            return
        for file in card.files:
            assert urlsplit(file.places[0].url).scheme == "https"
            assert {urlsplit(place.url).scheme for place in file.places} <= {"https", "hf", ""}
            assert all(len(place.sha256) == 64 for place in file.places if place.member or place.filename)
            assert not file.sha256 or len(bytes.fromhex(file.sha256)) in (4, 32)
        assert len({file.filename for file in card.files}) == len(card.files)
        assert (card.parameters > 0 and card.size > 0) or "number of parameters is not" in card.notes
        assert card.licence.weights
        assert card.training_data
        assert card.quality or "No figure" in card.notes


def test_the_promised_models_are_known(home):
    names = {card.name for card in zoo.models()}
    assert names >= {"hpss", "repet", "repet-sim", "2dft", "rpca", zoo.FALLBACK_MODEL}
    assert names >= {f"tdc17-vocals-{index}" for index in (1, 2, 3)}
    assert len([name for name in names if name.startswith("sudormrf-")]) == 5


@pytest.mark.parametrize("index", [1, 2, 3])
def test_the_hashes_are_those_of_the_published_files(shared, home, index):
    (file,) = zoo.find(f"tdc17-vocals-{index}").files
    published = shared / "weights" / file.filename
    assert (file.sha256, file.size) == (sha256_of(published), published.stat().st_size)


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("sudormrf-groupcomm-u8-wsj0", "groupcomm-u8"),
        ("sudormrf-u16-wsj0", "improved-u16"),
        ("sudormrf-u36-wsj0", "improved-u36-2048"),
        ("sudormrf-u16-whamr", "improved-u16-2048"),
        ("sudormrf-u36-whamr", "improved-u36-4096"),
    ],
)
def test_a_published_configuration_has_as_many_parameters_as_its_card_says(home, name, preset):
    with torch.device("meta"):
        separator = sudormrf_preset(preset).build()
    assert sum(weight.numel() for weight in separator.parameters()) == zoo.find(name).parameters


texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
maybe = st.one_of(st.just(""), texts)
cards = st.builds(
    Card,
    name=names,
    system=texts,
    title=texts,
    sources=st.lists(texts, min_size=1, max_size=3).map(tuple),
    sample_rate=st.one_of(st.none(), st.integers(1, 192_000)),
    channels=st.one_of(st.none(), st.integers(1, 8)),
    parameters=st.integers(0, 10**9),
    licence=st.builds(Licence, maybe, maybe),
    training_data=maybe,
    quality=st.lists(
        st.builds(Quality, texts, texts, texts, st.floats(allow_nan=False, allow_infinity=False)), max_size=2
    ).map(tuple),
    files=st.lists(st.builds(PublishedFile, names, maybe, maybe, st.none(), maybe), max_size=2).map(tuple),
)


@given(cards)
def test_a_card_survives_being_written_and_read(card):
    text = yaml.safe_dump(card.to_dict(), allow_unicode=True)
    assert Card.parse(yaml.safe_load(text), "card") == card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sorces": ["a"]}, "unknown key 'sorces'; did you mean 'sources'"),
        ({"sample_rate": "8 kHz"}, "sample_rate: .*int"),
        ({"sources": "vocals"}, "sources"),
        ({"licence": {"wieghts": "MIT"}}, "licence of .*did you mean 'weights'"),
        ({"licence": "MIT"}, "MIT"),
        ({"quality": [{"dataset": "d", "metric": "m", "target": "t"}]}, "quality of .*missing value"),
        ({"quality": {"SDR": 4}}, "quality must be a list"),
        ({"files": [{"filename": "a.pt", "sha": "0"}]}, "files of .*unknown key 'sha'"),
        ({"files": [{"filename": "../../a.pt"}]}, "plain file name"),
        ({"files": [{"filename": "/etc/passwd"}]}, "plain file name"),
        ({"name": "../toy"}, "letters, digits"),
        ({"name": ".."}, "letters, digits"),
    ],
)
def test_a_mistake_is_named_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as error:
        Card.parse({**MINIMAL, **change}, "toy/card.yaml")
    assert "\n" not in str(error.value)


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError, match=r"toy/card\.yaml: missing title, sources"):
        Card.parse({"name": "toy", "system": "toys"}, "toy/card.yaml")


class TestModelsFolder:
    def write(self, home, folder, text):
        path = home / "models" / folder / "card.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def test_a_card_there_is_listed_after_the_shipped_ones_by_its_folder(self, home):
        self.write(home, "mine", yaml.safe_dump({**MINIMAL, "name": "other"}))
        assert zoo.models()[-1].name == "mine"
        assert zoo.find("mine").system == "toys"

    def test_a_damaged_card_is_left_out_with_a_warning(self, home, caplog):
        self.write(home, "broken", "system: [")
        self.write(home, "mine", yaml.safe_dump(MINIMAL))
        with caplog.at_level(logging.WARNING):
            listed = [card.name for card in zoo.models()]
        assert "mine" in listed
        assert "broken" not in listed
        assert "broken" in caplog.text

    def test_a_card_there_does_not_replace_a_shipped_one(self, home):
        self.write(home, "hpss", yaml.safe_dump({**MINIMAL, "config": {"class_path": "torch.nn.Identity"}}))
        assert zoo.find("hpss").system == "HPSS"

    def test_an_unknown_name_is_refused_with_the_nearest(self, home):
        with pytest.raises(ModelError, match="did you mean 'repet-sim'"):
            zoo.find("repetsim")
