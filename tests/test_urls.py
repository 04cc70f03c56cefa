"""URLs where a file is asked for: known as such, and answered with a way out."""

from pathlib import Path

import pytest

from soloist.errors import UsageError
from soloist.urls import is_url, missing, refuse_url


@pytest.mark.parametrize(
    "name", ["https://a.org/x.mp3", "HTTP://a.org", "https:/a.org/x", "s3://b/k", "file:///a"]
)
def test_a_url_is_answered_with_what_to_do(name):
    assert is_url(name)
    assert " is a URL" in missing(name)


def test_a_url_that_was_a_path_is_said_as_a_url():
    assert missing(Path("https://a.org/b?c=d")).startswith("https://a.org/b?c=d is a URL")
    assert missing(Path("file:///music/a.wav")).endswith("give the path of the file, /music/a.wav")


def test_a_url_is_no_place_to_write_to():
    with pytest.raises(UsageError, match=r"-o s3://b/k is a URL, .*: write into a folder, and copy it there"):
        refuse_url(Path("s3://b/k"), "-o")
    with pytest.raises(UsageError, match=r"-o file:///a/b is a URL, .*: give /a/b"):
        refuse_url(Path("file:///a/b"), "-o")
    refuse_url(Path("C:/stems"), "-o")


@pytest.mark.parametrize("name", ["song.wav", "C:/song.wav", "a:b.wav", "/https/x", "12:/30"])
def test_a_name_with_a_colon_is_no_url(name):
    assert not is_url(name)
    assert missing(name) == f"{name} does not exist"
