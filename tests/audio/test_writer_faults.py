"""Writing that fails or is given up: one line, and nothing is left."""

from __future__ import annotations

import resource
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from soloist.audio import FORMATS, StemWriter, WriteOptions
from soloist.errors import AudioError, UsageError


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "stem"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_is_not_committed_vanishes(tmp_path, noise, name, error):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / f"a.{name}").write_text("from before")
    paths = {"a": kept / f"a.{name}", "b": tmp_path / "new" / "deep" / f"b.{name}"}
    with suppress(error), StemWriter(paths, 44100, 2, WriteOptions(format=name)) as writer:
        writer.write(np.stack([noise(), noise()]))
        raise error
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "kept",
        f"kept/a.{name}",
    ]
    assert (kept / f"a.{name}").read_text() == "from before"


def test_nothing_cannot_be_committed(tmp_path):
    with (
        StemWriter({"a": tmp_path / "a.wav"}, 44100, 2, WriteOptions()) as writer,
        pytest.raises(UsageError, match="nothing was written"),
    ):
        writer.commit()
    assert not list(tmp_path.iterdir())


def test_places_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for path in (
        tmp_path / "file" / "a.wav",
        tmp_path / "folder.wav",
        tmp_path / "new" / ("x" * 300 + ".wav"),
    ):
        for options in (WriteOptions(), WriteOptions(format="flac")):
            with pytest.raises(AudioError, match="cannot write") as caught:
                StemWriter({"a": path}, 44100, 2, options)
            assert str(path) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


FULL_DISK = """
import resource, sys, numpy as np
from pathlib import Path
from soloist.audio import StemWriter, WriteOptions
from soloist.errors import SoloistError
name, limit, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
audio = np.random.default_rng(0).normal(0, 0.1, (1, 2, 100_000)).astype("f4")
blocks = np.array_split(audio, 300, axis=2)
extension = WriteOptions(format=name).extension
try:
    with StemWriter({"a": folder / "new" / f"a.{extension}"}, 44100, 2, WriteOptions(format=name)) as writer:
        for block in blocks:
            writer.write(block)
        writer.commit()
except SoloistError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "limit"),
    [("wav", 300_000), ("wav", 799_000), ("wav", 1000), ("flac", 300_000), ("flac", 799_990)],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, name, limit):
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, name, str(limit), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("cannot write")
    assert "File too large" in run.stdout
    assert run.stderr == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["flac", "ogg", "opus", "mp3", "m4a"])
def test_a_disk_that_fills_up_while_encoding(tmp_path, noise, name):
    audio = noise(samples=100_000)
    paths = {"a": tmp_path / f"a.{name}"}
    with StemWriter(paths, 48000, 2, WriteOptions(format=name)) as writer:
        writer.write(audio[None])
        run = _commit_with_limit(writer)
    assert run.startswith(f"AudioError: cannot write {paths['a']}: File too large")
    assert not list(tmp_path.iterdir())


def _commit_with_limit(writer):
    writer._sinks[0].flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        writer.commit()
    except AudioError as error:
        return f"AudioError: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    return "committed"
