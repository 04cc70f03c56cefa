"""The cheapest model that knows a stem: what is on disk, then what may be a default, then rules."""

from __future__ import annotations

import pytest

from soloist.errors import ModelError, UsageError
from soloist.zoo import find
from soloist.zoo.cards import CARD, WEIGHTS, models_folder
from soloist.zoo.cheapest_model import cheapest_model
from soloist.zoo.published_files import OFFLINE
from soloist.zoo.speeds import save_speed


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without models, where downloads are allowed; nothing here downloads."""
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))
    monkeypatch.delenv(OFFLINE)


def put_on_disk(*names: str) -> None:
    """Folders in which the weights of models seem to be."""
    for name in names:
        folder = models_folder() / name
        folder.mkdir(parents=True)
        (folder / WEIGHTS).touch()


def test_a_download_is_the_cheapest_that_may_be_a_default():
    assert cheapest_model(["vocals"]).name == "spleeter-2stems"
    # Of three that cost the same, the best.
    assert cheapest_model(["drums"]).name == "xumx"
    assert find("umxhq").operations == find("umx").operations == find("xumx").operations
    assert cheapest_model(["drums", "piano"]).name == "spleeter-5stems"


def test_a_model_on_disk_comes_first():
    put_on_disk("htdemucs", "htdemucs_ft")
    assert cheapest_model(["drums"]).name == "htdemucs"
    assert cheapest_model(["guitar"]).name == "htdemucs_6s"


def test_the_fastest_wins_if_all_were_measured():
    put_on_disk("htdemucs", "mdx")
    save_speed("htdemucs", 2.0)
    assert cheapest_model(["drums"]).name == "htdemucs"
    save_speed("mdx", 3.0)
    assert cheapest_model(["drums"]).name == "mdx"


def test_an_imported_model_without_a_rank_counts():
    put_on_disk("own")
    (models_folder() / "own" / CARD).write_text(
        "name: own\nsystem: X\ntitle: X\nsources: [drums]\nparameters: 1000\n", encoding="utf-8"
    )
    assert cheapest_model(["drums"]).name == "own"


def test_without_downloads_a_rule_does_it_or_the_way_out_is_named(monkeypatch):
    assert cheapest_model(["vocals"], fetch=False).config is not None
    with pytest.raises(ModelError, match=r"xumx \(\d+ MB\) is not on disk: soloist models download xumx"):
        cheapest_model(["drums"], fetch=False)
    monkeypatch.setenv(OFFLINE, "1")
    with pytest.raises(ModelError, match="soloist models download xumx"):
        cheapest_model(["drums"])


@pytest.mark.parametrize(
    ("stems", "message"),
    [
        ([], "needs the name of a stem"),
        (["kazoo"], "no model knows the stem 'kazoo'"),
        (["drumms"], "did you mean 'drums'"),
        (["speaker1", "drums"], "no single model knows speaker1 and drums: name a chain"),
    ],
)
def test_unknown_stems_are_refused(stems, message):
    with pytest.raises(UsageError, match=message):
        cheapest_model(stems)
