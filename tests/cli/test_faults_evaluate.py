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


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Arguments of an evaluation of three tracks."""
    corpus = tmp_path_factory.mktemp("corpus")
    for index, name in enumerate(TRACKS):
        write_track(corpus / name, noises(("vocals", "drums"), seconds=1.1, seed=index))
    return ("evaluate", "oracle:mixture", corpus, "--listen", "0", "-q")


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """Number of moments of the evaluation in folders that exist, and the scores that nothing interrupted."""
    results = tmp_path_factory.mktemp("whole")
    (results / "oracle-mixture/test").mkdir(parents=True)
    ended = run_forked(*command, "-o", results, watch=results)
    assert ended.code == 0, ended.err
    expected = scores(results)
    assert tuple(expected) == TRACKS
    return len(ended.moments), expected


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
def test_it_stops_at_any_moment(soloist, command, whole, tmp_path, monkeypatch, fault, request):
    temporary, results = tmp_path / "temporary", tmp_path / "results"
    folders = (results, results / "oracle-mixture", results / "oracle-mixture/test")
    for folder in (temporary, *folders):
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    total, expected = whole
    faults = {"full disk": fill_disk(200), "read-only": lose_rights(*folders)}
    number = getattr(signal, fault, 0)
    # The report is written at the end; a record before it is the most that a fault can take.
    (moment,) = moments_of(request.node.name, 1, total // 2)
    ended = run_forked(
        *command, "-o", results, watch=results, at=moment, fault=faults.get(fault) or send(number)
    )
    if not number:
        assert ended.code == 1
        assert "internal error" not in ended.err
        assert ended.err.startswith("soloist: ")
    else:
        assert ended.code == (-number if fault == "SIGKILL" else 128 + number)
        assert leftovers(results) == [] or fault == "SIGKILL"
    for folder in folders:
        folder.chmod(0o755)
    # Its processes end with it, and clean up.
    deadline = time.monotonic() + 20
    while len(leftovers(temporary)) > (fault == "SIGKILL") and time.monotonic() < deadline:
        time.sleep(0.1)
    check_goes_on(soloist, command, results, expected)
    assert leftovers(temporary) == []
