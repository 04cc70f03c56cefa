"""Texts of files: JSON that every program reads."""

import json
import math
from pathlib import Path

import pytest

from soloist.files import is_url, json_text, missing


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


@pytest.mark.parametrize(
    "name", ["https://a.org/x.mp3", "HTTP://a.org", "https:/a.org/x", "s3://b/k", "file:///a"]
)
def test_a_url_is_answered_with_what_to_do(name):
    assert is_url(name)
    assert " is a URL" in missing(name)


def test_a_url_that_was_a_path_is_said_as_a_url():
    assert missing(Path("https://a.org/b?c=d")).startswith("https://a.org/b?c=d is a URL")
    assert missing(Path("file:///music/a.wav")).endswith("give the path of the file, /music/a.wav")


@pytest.mark.parametrize("name", ["song.wav", "C:/song.wav", "a:b.wav", "/https/x", "12:/30"])
def test_a_name_with_a_colon_is_no_url(name):
    assert not is_url(name)
    assert missing(name) == f"{name} does not exist"
