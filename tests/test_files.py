"""Files: JSON that every program reads, names that users give, and what a full disk says."""

import json
import math
import sys
from pathlib import Path

import pytest

from faults import files_of_at_most, leftovers
from soloist.files import expand_home, json_text, write_whole


def test_numbers_that_are_not_finite_are_null_wherever_they_stand():
    value = {
        "a": math.nan,
        "b": [math.inf, (1.5, -math.inf)],
        "c": {"d": {"e": math.nan}},
        "f": "NaN",
        "g": True,
    }
    read = json.loads(json_text(value, indent=1), parse_constant=pytest.fail)
    assert read == {"a": None, "b": [None, [1.5, None]], "c": {"d": {"e": None}}, "f": "NaN", "g": True}


def test_a_tilde_is_the_home_folder_unless_something_has_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert expand_home("~/songs") == tmp_path / "home/songs"
    assert expand_home("~nosuchuser/songs") == Path("~nosuchuser/songs")
    (tmp_path / "~").mkdir()
    assert expand_home("~/songs") == tmp_path / "home/songs"
    (tmp_path / "~/songs").touch()
    assert expand_home("~/songs") == Path("~/songs")


@pytest.mark.skipif(sys.platform == "win32", reason="limits are those of POSIX")
def test_a_full_disk_is_said_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with files_of_at_most(1000), pytest.raises(OSError, match="File too large") as caught:
        write_whole(path, "x" * 2000)
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []
