"""Downloads, imports and exports that are killed or find no room: whole or not at all."""

import hashlib
import os
import shutil
import signal
import sys

import pytest
import torch
import yaml

import published
from faults import die_within_file, fill_disk, leftovers, lose_rights, moments_of, run_forked, send, tree
from loopback_server import FILE, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are those of POSIX"),
]

MODEL = "tiny-sudormrf-digits"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of a published checkpoint."""
    monkeypatch.delenv("SOLOIST_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    torch.save(published.published_state(), tmp_path / FILE)
    with serving() as server:
        server.content = (tmp_path / FILE).read_bytes()
        yield server


@pytest.fixture
def publish(server, tmp_path, monkeypatch):
    """Make a folder of Soloist's own files that knows the model `talkers`, not yet on disk."""

    def make(name):
        home = tmp_path / name
        content = server.content
        file = {"filename": FILE, "url": server.url, "size": len(content)}
        card = {
            "name": "talkers",
            "system": "SuDoRM-RF",
            "title": "Two talkers",
            "sources": ["speaker1", "speaker2"],
            "files": [file | {"sha256": hashlib.sha256(content).hexdigest()}],
        }
        path = home / "models/talkers/card.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(card))
        monkeypatch.setenv("SOLOIST_HOME", str(home))
        return home

    return make


def check_downloaded(soloist, home):
    """After a fault: no model under its name that is not whole, and the next call makes it."""
    there = (home / "models/talkers/model.safetensors").is_file()
    assert (soloist("models", "path", "talkers").code == 0) == there
    result = run_forked("models", "download", "talkers", watch=home)
    assert result.code == 0, result.err
    # After a kill between the transfer and the import, the file counts as one that was put there.
    assert os.listdir(home / "downloads") in ([], [FILE])
    assert leftovers(home) == []
    return tree(home / "models")


def test_a_download_ends_at_any_moment(soloist, publish):
    home = publish("whole")
    total = len(run_forked("models", "download", "talkers", watch=home).moments)
    expected = tree(home / "models")
    for number in (signal.SIGKILL, signal.SIGTERM):
        for moment in moments_of(f"download {number}", 4, total):
            home = publish(f"home-{number}-{moment}")
            ended = run_forked("models", "download", "talkers", watch=home, at=moment, fault=send(number))
            assert ended.code == (-number if number == signal.SIGKILL else 128 + number)
            if number == signal.SIGTERM:
                assert (
                    ended.err.splitlines()[-1] == "soloist: terminated; nothing half-written was left behind"
                )
                assert leftovers(home) == []
            assert check_downloaded(soloist, home) == expected


@pytest.mark.parametrize("fault", [die_within_file(8192), fill_disk(8192)], ids=["killed", "full disk"])
def test_a_download_that_stops_within_the_file_is_continued(soloist, publish, server, fault):
    home = publish("home")
    assert len(server.content) > 3 * 8192
    ended = run_forked("models", "download", "talkers", watch=home, at=1, fault=fault)
    part = home / f"downloads/{FILE}.part"
    assert part.stat().st_size == 8192
    if ended.code != -signal.SIGXFSZ:
        assert ended.code == 1
        assert ended.err.splitlines()[-1] == f"soloist: cannot write to {part.parent}: File too large"
    check_downloaded(soloist, home)
    assert server.ranges == [None, "bytes=8192-"]


def test_a_download_without_the_right_to_write_is_one_line(soloist, publish):
    home = publish("home")
    (home / "downloads").mkdir()
    lost = lose_rights(home / "downloads")
    ended = run_forked("models", "download", "talkers", watch=home, at=1, fault=lost)
    assert ended.code == 1
    about, line = ended.err.splitlines()
    assert about.startswith("talkers (")
    assert line.startswith(f"soloist: cannot write to {home}/downloads")
    assert "Permission denied" in line
    (home / "downloads").chmod(0o755)
    check_downloaded(soloist, home)


@pytest.fixture
def command(request, tmp_path):
    """Arguments of a command that writes a folder, import or export, and the folder."""
    torch.save(published.published_state(), tmp_path / FILE)
    folder = tmp_path / "folder"
    if request.param == "import":
        return ("models", "import", tmp_path / FILE, "-o", folder, "--overwrite"), folder
    return ("export", MODEL, "--to", "torchscript", "--chunk", "0.3", "-o", folder, "--force"), folder


FAULTS = ("SIGKILL", "SIGTERM", "full disk", "read-only")


@pytest.mark.parametrize(
    ("command", "fault", "replaced"),
    [
        *(("import", fault, replaced) for fault in FAULTS for replaced in (False, True)),
        ("export", "SIGKILL", True),
        ("export", "full disk", False),
    ],
    indirect=["command"],
)
def test_a_folder_is_there_whole_or_not_at_all(command, tmp_path, replaced, fault, request):
    arguments, folder = command
    total = len(run_forked(*arguments, watch=tmp_path).moments)
    names = {path.name for path in folder.iterdir()}
    for moment in moments_of(request.node.name, 1 if arguments[0] == "export" else 2, total):
        if not replaced:
            shutil.rmtree(folder, ignore_errors=True)
        before = tree(folder) if replaced else {}
        faults = {"full disk": fill_disk(100), "read-only": lose_rights(tmp_path)}
        act = faults[fault] if fault in faults else send(getattr(signal, fault))
        ended = run_forked(*arguments, watch=tmp_path, at=moment, fault=act)
        tmp_path.chmod(0o755)
        if fault not in faults:
            number = getattr(signal, fault)
            assert ended.code == (-number if fault == "SIGKILL" else 128 + number)
        else:
            assert ended.code in (0, 1)
            assert "internal error" not in ended.err
            assert (
                len([line for line in ended.err.splitlines() if line.startswith("soloist: ")]) == ended.code
            )
        after = tree(folder)
        assert after == before or after.keys() == names, ended.err
        result = run_forked(*arguments, watch=tmp_path)
        assert result.code == 0, result.err
        assert tree(folder).keys() == names
        assert leftovers(tmp_path) == []
