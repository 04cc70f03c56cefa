"""`soloist separate` that is killed, or finds no room: what is finished stays, and the next call goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from faults import (
    drop_capabilities,
    files_of_at_most,
    fill_disk,
    leftovers,
    lose_rights,
    moments_of,
    run_forked,
    run_mounted,
    send,
    tree,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are those of POSIX")

SONGS = ("one", "two", "three")
RATE = 8000
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@pytest.fixture
def songs(tmp_path) -> list[Path]:
    """Three songs, of which the second one is the longest."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.wav" for name in SONGS]
    for path, seconds in zip(paths, (0.3, 1.5, 0.3), strict=True):
        soundfile.write(path, 0.1 * rng.standard_normal(int(seconds * RATE)), RATE)
    return paths


@pytest.fixture
def whole(songs, tmp_path, soloist):
    """The stems that nothing interrupted, in both forms that are written: float WAV, and encoded files."""

    def separate(*options):
        folder = tmp_path / "whole"
        result = soloist("separate", "-m", "hpss", *songs, "-o", folder, *options)
        assert result.code == 0, result.err
        return stems(folder)

    return separate


def stems(folder):
    """Stems below a folder: all that is neither a record nor half-written."""
    return {
        name: content for name, content in tree(folder).items() if not Path(name).name.startswith(".soloist")
    }


def check_goes_on(soloist, songs, out, expected, *options):
    """After a fault: only finished stems, and the next call makes the others and leaves nothing else."""
    before = stems(out)
    assert before.items() <= expected.items()
    finished = [name for name in SONGS if is_finished(out, name)]
    result = soloist("separate", "-m", "hpss", *songs, "-o", out, "--skip-existing", *options)
    assert result.code == 0, result.err
    assert [name for name in SONGS if f"{name}.wav: all stems are there, skipped" in result.err] == finished
    assert stems(out) == expected
    assert leftovers(out) == []


def is_finished(out, name) -> bool:
    path = out / "hpss" / name / ".soloist.json"
    return path.is_file() and all(
        track["finished"] for track in json.loads(path.read_text(encoding="utf-8"))["tracks"]
    )


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("number", "count", "options"),
    [
        (signal.SIGKILL, 1, []),
        (signal.SIGTERM, 1, []),
        *(slow(number, 3, ["-f", "flac"]) for number in SIGNALS),
    ],
)
def test_it_ends_at_any_moment(soloist, songs, whole, tmp_path, number, count, options, request):
    expected = whole(*options)
    command = ("separate", "-m", "hpss", *songs, *options)
    total = len(run_forked(*command, "-o", tmp_path / "count", watch=tmp_path / "count").moments)
    assert total > 12
    for moment in moments_of(request.node.name, count, total):
        out = tmp_path / f"out-{moment}"
        ended = run_forked(*command, "-o", out, watch=out, at=moment, fault=send(number))
        if number == signal.SIGKILL:
            assert ended.code == -number
        else:
            word = "interrupted" if number == signal.SIGINT else "terminated"
            assert ended.code == 128 + number
            assert ended.err.splitlines()[-1] == f"soloist: {word}; nothing half-written was left behind"
            assert leftovers(out) == []
        out.mkdir(exist_ok=True)
        check_goes_on(soloist, songs, out, expected, *options)


@pytest.mark.slow
def test_a_kill_at_every_moment(soloist, songs, tmp_path):
    command = ("separate", "-m", "hpss", songs[0], "-f", "mp3")
    ended = run_forked(*command, "-o", tmp_path / "count", watch=tmp_path / "count")
    expected = stems(tmp_path / "count")
    for moment in range(1, len(ended.moments) + 1):
        out = tmp_path / f"out-{moment}"
        assert run_forked(*command, "-o", out, watch=out, at=moment).code == -signal.SIGKILL
        result = soloist(*command, "-o", out, "--skip-existing")
        assert result.code == 0, (moment, result.err)
        assert stems(out) == expected
        assert leftovers(out) == []


def test_a_kill_between_two_stems_leaves_no_stems_that_belong_to_nobody(soloist, songs, whole, tmp_path):
    """Without --skip-existing, too: the next call writes into the same folder, not into `one (2)`."""
    expected, out = whole(), tmp_path / "out"
    command = ("separate", "-m", "hpss", *songs, "-o", out)
    renames = [
        place
        for place, moment in enumerate(run_forked(*command, watch=out).moments, start=1)
        if moment.startswith("os.rename")
    ]
    shutil.rmtree(out)
    # The record, the first stem; the kill comes before the second one gets its name.
    assert run_forked(*command, watch=out, at=renames[2]).code == -signal.SIGKILL
    assert len(stems(out)) == 1
    result = soloist(*command)
    assert result.code == 0, result.err
    assert "their writing was interrupted" in result.err
    assert stems(out) == expected


@pytest.mark.parametrize("options", [[], ["-f", "flac"], ["-f", "mp3"]], ids=["wav", "flac", "mp3"])
def test_a_file_for_which_the_disk_has_no_room_is_one_line_and_the_others_are_done(
    soloist, songs, whole, tmp_path, options
):
    expected, out = whole(*options), tmp_path / "out"
    with files_of_at_most(20_000):  # more than the stems of the short songs, less than those of the long one
        result = soloist("separate", "-m", "hpss", *songs, "-o", out, "-q", *options)
    assert result.code == 1
    line, summary = result.err.splitlines()
    assert line.startswith(f"soloist: cannot write {out}/hpss/two/harmonic.")
    assert line.endswith(": File too large")
    assert summary == "1 of 3 inputs failed"
    assert stems(out) == {name: content for name, content in expected.items() if "/two/" not in name}
    assert leftovers(out) == []
    assert not (out / "hpss/two").exists()
    check_goes_on(soloist, songs, out, expected, *options)


def test_what_was_finished_before_stays_when_there_is_no_room_for_it_again(soloist, songs, whole, tmp_path):
    expected, out = whole(), tmp_path / "out"
    command = ("separate", "-m", "hpss", *songs, "-o", out)
    assert soloist(*command).code == 0
    with files_of_at_most(1000):
        result = soloist(*command)
    assert result.code == 1
    assert result.err.splitlines()[-1] == "3 of 3 inputs failed"
    assert stems(out) == expected
    assert soloist(*command, "--skip-existing").err.count("all stems are there, skipped") == 3


@pytest.mark.parametrize(
    ("fault", "count", "options"),
    [
        ("full disk", 1, []),
        ("read-only folders", 1, []),
        slow("full disk", 4, ["-f", "flac"]),
        slow("read-only folders", 4, ["-f", "flac"]),
    ],
)
def test_it_loses_its_room_at_any_moment(soloist, songs, whole, tmp_path, fault, count, options, request):
    """Each song that was not finished has its line, and none has stems that are not whole."""
    expected, command = whole(*options), ("separate", "-m", "hpss", *songs, "-q", *options)
    total = len(run_forked(*command, "-o", tmp_path / "count", watch=tmp_path / "count").moments)
    for moment in moments_of(request.node.name, count, total):
        out = tmp_path / f"out-{moment}"
        folders = [out, out / "hpss", *(out / "hpss" / name for name in SONGS)]
        for folder in folders:
            folder.mkdir(parents=True)
        lost = fill_disk(3000) if fault == "full disk" else lose_rights(*folders)
        ended = run_forked(*command, "-o", out, watch=out, at=moment, fault=lost)
        count_of = Counter(Path(name).parent.name for name in stems(out))
        there = [name for name, stem_count in count_of.items() if stem_count == 2]
        lines = [line for line in ended.err.splitlines() if line.startswith("soloist: ")]
        assert len([line for line in lines if "cannot write" in line]) == 3 - len(there), ended.err
        assert ended.code == (len(there) < 3)
        for folder in folders:
            folder.chmod(0o755)
        check_goes_on(soloist, songs, out, expected, *options)


@pytest.mark.slow
def test_a_disk_that_is_too_small_is_said_before_the_separation_and_the_others_are_done(songs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    script = 'soloist separate -m hpss "$@" -q; echo "code $?"; cd "$FOLDER"; find . -type f | sort'
    done = run_mounted(out, "size=96k", script, *songs, "-o", out)
    line, summary = done.stderr.splitlines()
    assert line.startswith(f"soloist: {songs[1]}: the stems take up to 0.1 MB of the disk")
    assert summary == "1 of 3 inputs failed"
    code, *files = done.stdout.splitlines()
    assert code == "code 1"
    assert [name for name in files if "/two/" in name] == []
    assert len([name for name in files if name.endswith(".wav")]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["-f", "flac"]], ids=["wav", "flac"])
def test_a_disk_that_fills_up_meanwhile(songs, tmp_path, options):
    out = tmp_path / "out"
    out.mkdir()
    # Another program takes the room after the free space was measured.
    script = """
    soloist separate -m hpss "$@" -q &
    while [ -z "$(find "$FOLDER" -name '.soloist-*')" ]; do sleep 0.01; done
    cat /dev/zero > "$FOLDER/others" 2> /dev/null
    wait $!; echo "code $?"; rm "$FOLDER/others"; cd "$FOLDER"; find . -type f | sort
    """
    long = tmp_path / "long.wav"
    soundfile.write(long, 0.1 * np.random.default_rng(0).standard_normal((40 * RATE, 2)), RATE)
    done = run_mounted(out, "size=12m", script, long, "-o", out, *options)
    assert done.stdout == "code 1\n", done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("soloist: cannot write ")
    assert line.endswith(": No space left on device")


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_one_files_trouble(songs, tmp_path):
    """A file system that is mounted read-only: not even the super-user writes to it."""
    folder = tmp_path / "out/hpss/two"
    folder.mkdir(parents=True)
    script = 'mount -o remount,ro "$FOLDER"; soloist separate -m hpss "$@" -q; echo "code $?"'
    done = run_mounted(folder, "size=1m", script, *songs, "-o", tmp_path / "out")
    assert done.stdout == "code 1\n"
    line, summary = done.stderr.splitlines()
    assert line == f"soloist: cannot write {folder}/harmonic.wav: Read-only file system"
    assert summary == "1 of 3 inputs failed"
    assert {Path(name).parent.name for name in stems(tmp_path / "out")} == {"one", "three"}
    assert leftovers(tmp_path) == []


def test_an_output_folder_without_the_right_to_write_is_one_line_a_file(songs, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    command = ("separate", "-m", "hpss", *songs, "-o", out, "-q")
    ended = run_forked(*command, watch=out, prepare=drop_capabilities)
    assert ended.code == 1
    *lines, summary = ended.err.splitlines()
    expected = [f"soloist: cannot write {out}/hpss/{name}/harmonic.wav: Permission denied" for name in SONGS]
    assert lines == expected
    assert summary == "3 of 3 inputs failed"


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that not even root can write to")
def test_an_output_folder_that_cannot_be_made_is_one_line(soloist, songs):
    result = soloist("separate", "-m", "hpss", songs[0], "-o", "/proc/soloist")
    assert result.code == 1
    (line,) = result.err.splitlines()
    assert line.startswith("soloist: cannot write /proc/soloist/hpss/one/harmonic.wav: ")


def test_a_closed_pipe_ends_it_without_a_word(soloist, songs, whole, tmp_path):
    expected, out = whole(), tmp_path / "out"
    reader, writer = os.pipe()
    os.close(reader)
    command = ("separate", "-m", "hpss", *songs, "-o", out, "--json")
    ended = run_forked(*command, watch=out, prepare=lambda: os.dup2(writer, 1))
    os.close(writer)
    assert (ended.code, ended.err) == (141, "")
    assert leftovers(out) == []
    assert "hpss/one/harmonic.wav" in stems(out)
    check_goes_on(soloist, songs, out, expected)


@pytest.mark.slow
def test_a_reader_that_closes_the_pipe_ends_it_without_a_word(
    songs, tmp_path, soloist_process, soloist, whole
):
    expected, out = whole(), tmp_path / "out"
    process = soloist_process("separate", "-m", "hpss", *songs, "-o", out, "--json")
    assert json.loads(process.stdout.readline())["ok"]
    process.stdout.close()
    assert process.wait(timeout=300) == 141
    assert process.stderr.read() == b""
    assert leftovers(out) == []
    check_goes_on(soloist, songs, out, expected)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_output_that_nobody_can_write_is_one_line(soloist_process):
    with open("/dev/full", "wb") as full:
        process = soloist_process("models", stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert err.decode().splitlines() == ["soloist: standard output: No space left on device"]
