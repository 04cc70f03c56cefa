"""Files that appear when they are complete, and never replace an input."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from soloist.errors import AudioError
from soloist.files import Staging


def test_all_files_get_their_names_at_once_and_folders_are_made(tmp_path):
    staging = Staging()
    paths = [tmp_path / "new" / name for name in ("a", "b")]
    for path in paths:
        staging.target(path).write_text(path.name)
    assert not any(path.exists() for path in paths)
    staging.promote()
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == {"a": "a", "b": "b"}


def test_what_is_discarded_leaves_nothing_and_what_was_there(tmp_path):
    there = tmp_path / "there"
    there.write_text("before")
    staging = Staging()
    staging.target(there).write_text("after")
    staging.target(tmp_path / "new" / "file")
    staging.discard()
    assert there.read_text() == "before"
    assert list(tmp_path.iterdir()) == [there]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipes_and_devices_and_what_leads_to_them_are_not_replaced(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(AudioError, match="it is a device or a pipe"):
            Staging().target(path)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_folders_are_not_replaced(tmp_path):
    with pytest.raises(AudioError, match="it is a folder"):
        Staging().target(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that not even root can write to")
def test_where_no_file_can_be_made_its_own_name_is_told():
    with pytest.raises(OSError, match=r"/proc/table\.csv"):
        Staging().target(Path("/proc/table.csv"))
