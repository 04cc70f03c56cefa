"""`soloist evaluate` that is killed, or finds no room: scores stay, and the next call goes on."""

import json
import signal
import sys
import time

import pytest

from faults import fill_disk, leftovers, lose_rights, moments_of, run_forked, send, tree
from stem_corpora import noises, write_track

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are those of POSIX"),
]

TRACKS = ("song 0", "song 1", "song 2")


@pytest.fixture
def command(tmp_path):
    """Arguments of an evaluation of three tracks."""
    for index, name in enumerate(TRACKS):
        write_track(tmp_path / "corpus" / name, noises(("vocals", "drums"), seconds=1.1, seed=index))
    return ("evaluate", "oracle:mixture", tmp_path / "corpus", "--listen", "0", "-q")


def scores(results):
    """Scores by track, without the cost."""
    records = sorted((results / "oracle-mixture/test").glob("*.json"))
    return {path.stem: json.loads(path.read_text())["targets"] for path in records}


def check_goes_on(soloist, command, results, expected):
    """After a fault: only whole records; the next call keeps them and makes the others."""
    there = scores(results)
    assert there.items() <= expected.items()
    before = {name: content for name, content in tree(results).items() if "/test/song" in name}
    result = soloist(*command, "-o", results)
    assert result.code == 0, result.err
    assert scores(results) == expected
    assert before.items() <= tree(results).items()
    assert leftovers(results) == []


@pytest.mark.parametrize("fault", ["SIGKILL", "SIGTERM", "full disk", "read-only"])
def test_it_stops_at_any_moment(soloist, command, tmp_path, monkeypatch, fault, request):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    whole = run_forked(*command, "-o", tmp_path / "whole", watch=tmp_path / "whole")
    assert whole.code == 0, whole.err
    expected = scores(tmp_path / "whole")
    assert tuple(expected) == TRACKS
    for moment in moments_of(request.node.name, 2, len(whole.moments)):
        results = tmp_path / f"results-{moment}"
        (results / "oracle-mixture/test").mkdir(parents=True)
        lost = {
            "full disk": fill_disk(200),
            "read-only": lose_rights(results, results / "oracle-mixture", results / "oracle-mixture/test"),
        }
        act = lost[fault] if fault in lost else send(getattr(signal, fault))
        ended = run_forked(*command, "-o", results, watch=results, at=moment, fault=act)
        if fault in lost:
            assert ended.code == 1
            assert "internal error" not in ended.err
            assert ended.err.startswith("soloist: ")
        else:
            number = getattr(signal, fault)
            assert ended.code == (-number if fault == "SIGKILL" else 128 + number)
            assert leftovers(results) == [] or fault == "SIGKILL"
        for folder in (results, results / "oracle-mixture", results / "oracle-mixture/test"):
            folder.chmod(0o755)
        check_goes_on(soloist, command, results, expected)
    deadline = time.monotonic() + 10
    while leftovers(temporary) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert leftovers(temporary) == []
