"""A cluster of two workers on this machine: the bytes of one process; actors, heads and files that fail."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest
import soundfile

from faults import leftovers, tree
from soloist.cluster.ray_cluster import ClusterShare
from soloist.config.imports import IMPORTS, TRUST, import_code
from soloist.errors import UsageError
from soloist.inference import Batch, FileSettings
from soloist.library import LibraryRun, find_entries
from soloist.separators import build_separator
from soloist.zoo import save_model

RATE = 8000

DEADLY = """
import os, signal
from soloist.separators import HPSS

class Lethal(HPSS):
    def estimate(self, mixture):
        if mixture.abs().max() > 0.9:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().estimate(mixture)
"""


@pytest.mark.parametrize(
    ("resources", "jobs", "device", "share"),
    [
        ({"CPU": 8}, None, "auto", (8, 1.0, 0.0)),
        ({"CPU": 8}, 2, "auto", (2, 4.0, 0.0)),
        ({"CPU": 2}, 4, "cpu", (4, 0.5, 0.0)),
        ({"CPU": 64, "GPU": 4}, None, "cuda", (4, 16.0, 1.0)),
        ({"CPU": 64, "GPU": 4}, 8, "auto", (8, 8.0, 0.5)),
        ({"CPU": 64, "GPU": 4}, 3, "auto", (3, 21.0, 1.0)),
        ({"CPU": 64, "GPU": 4}, None, "cpu", (64, 1.0, 0.0)),
    ],
)
def test_a_cluster_is_shared_out(resources, jobs, device, share):
    found = ClusterShare.of(resources, jobs, device)
    assert (found.actors, found.cpus, found.gpus) == share


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no GPU for --device cuda"):
        ClusterShare.of({"CPU": 8.0}, None, "cuda")


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Forty songs of different lengths."""
    folder = tmp_path_factory.mktemp("songs")
    for number in range(40):
        noise = np.random.default_rng(number).uniform(-0.2, 0.2, RATE // 4 + 100 * number)
        soundfile.write(folder / f"s{number:02}.wav", noise, RATE)
    return folder


@pytest.fixture(scope="module")
def expected(songs, tmp_path_factory):
    """Their stems by one process."""
    folder = tmp_path_factory.mktemp("alone")
    Batch("hpss", FileSettings(folder)).run([songs])
    return stems(folder)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Starts clusters of two workers, which know a part that kills its process."""
    pytest.importorskip("ray")
    from soloist.cluster import RayWorkers

    (tmp_path / "lethal_part.py").write_text(DEADLY)
    monkeypatch.setenv(IMPORTS, str(tmp_path / "lethal_part.py"))
    import_code(str(tmp_path / "lethal_part.py"))
    monkeypatch.setenv(TRUST, "1")
    return lambda: RayWorkers("local", 2)


def stems(folder):
    return {name: content for name, content in tree(folder).items() if name.endswith(".wav")}


def entries_of(songs, out, model="hpss"):
    settings = FileSettings(out, skip_existing=True)
    return find_entries([str(songs)], model, settings, lambda *lost: pytest.fail(str(lost)))


def actors(process: psutil.Process) -> list[psutil.Process]:
    return [each for each in process.children(recursive=True) if "BundleWorker" in " ".join(each.cmdline())]


@pytest.mark.slow
def test_forty_files_are_the_same_to_the_bit_and_neither_a_kill_nor_bad_files_cost_another_file(
    cluster, songs, tmp_path
):
    library = tmp_path / "library"
    shutil.copytree(songs, library)
    soundfile.write(library / "poison.wav", np.random.default_rng(0).uniform(-0.99, 0.99, 3000), RATE)
    (library / "bad.wav").write_bytes(b"RIFF of nothing")
    config = {"class_path": "lethal_part.Lethal"}
    model = save_model(build_separator(config, "test"), config, {}, tmp_path / "lethal")
    Batch(str(model), FileSettings(tmp_path / "alone")).run([songs])
    outcomes, killed = [], []

    def told(outcome):
        outcomes.append(outcome)
        if len(outcomes) == 10:
            victim = actors(psutil.Process())[0]
            victim.kill()
            killed.append(victim.pid)

    with cluster() as workers:
        result = LibraryRun(entries_of(library, tmp_path / "out", str(model)), workers).run(outcome=told)
    assert (result.separated, result.failed) == (40, 2)
    assert killed
    assert len({each.entry.key for each in outcomes}) == len(outcomes) == 42
    assert stems(tmp_path / "out") == stems(tmp_path / "alone")
    rows = {each.entry.track.name: (each.row.state, each.row.kind, each.row.attempts) for each in outcomes}
    # The poisoned file is left after three workers.
    assert rows.pop("poison") == ("failed", "crash", 3)
    assert rows.pop("bad") == ("failed", "audio", 1)
    assert {state for state, _, _ in rows.values()} <= {"done", "found"}


# That a library goes on where its process was killed is tested in tests/cli/test_separate_library.py.
@pytest.mark.slow
@pytest.mark.nightly
def test_a_head_that_is_killed_is_called_again_and_the_rest_is_done(songs, expected, tmp_path):
    pytest.importorskip("ray")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "soloist.cli.main", "separate", songs, "-m", "hpss", "-o", out]
    command += ["--cluster", "local", "--jobs", "1"]
    head = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started = time.monotonic()
    while len(list(out.rglob("percussive.wav"))) < 5 and time.monotonic() - started < 200:
        time.sleep(0.05)
    assert head.poll() is None
    processes, separating = (
        psutil.Process(head.pid).children(recursive=True),
        actors(psutil.Process(head.pid)),
    )
    head.send_signal(signal.SIGKILL)
    head.communicate()
    # The actors end with their head; some agents of Ray take their time.
    _, left = psutil.wait_procs(separating, timeout=30)
    assert (len(separating), left) == (1, [])
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")}
    assert 5 <= len(before) // 2 < 40
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert stems(out) == expected
    assert leftovers(out) == []
    again = [path for path, changed in before.items() if path.stat().st_mtime_ns != changed]
    # At most the one between whose stems the kill came.
    assert len({path.parent for path in again}) <= 1
    # Ray's core warns of actors that restart, whatever its log level is.
    known = (".wav", "finished before", "core_worker.cc")
    strays = [line for line in done.stderr.splitlines() if not any(part in line for part in known)]
    assert strays == []
