"""`soloist serve` as a program: jobs through HTTP, kills, restarts, many clients, hostile uploads."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from hostile.trial import write_corpus
from served_songs import noise, serving
from soloist.server import Limits, Service, make_application, open_socket
from soloist.server.listening import make_server

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "band" / "mixture.flac"
RATE = 16000
SMALL_JOBS, DAMAGED = (990, 60) if os.environ.get("SOLOIST_TEST_PROFILE") == "nightly" else (100, 20)


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The folder of a service that nothing happens to."""
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def page(jobs):
    """The service: tests share it that leave it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOLOIST_HOME", str(jobs / "home"))
        with serving(jobs / "jobs", "--models", "hpss", "--precision", "float32") as page:
            yield page


def wave(seconds, *, seed=0, channels=1):
    """Encoded noise."""
    file = io.BytesIO()
    soundfile.write(file, noise(seed, channels, round(seconds * RATE)).T, RATE, "PCM_16", format="WAV")
    return file.getvalue()


def workers(page):
    return psutil.Process(page.process.pid).children(recursive=True)


def worker_of(page):
    """Process of the worker that runs a job: the one with PyTorch in it."""
    return max(workers(page), key=lambda process: process.memory_info().rss)


def test_a_program_uploads_waits_and_takes_stems_that_sum_to_the_song(page):
    job = page.upload(EXAMPLE.read_bytes(), name="band.flac")
    done = page.wait_for(job["id"], "finished")
    assert done["stems"] == ["harmonic", "percussive"]
    assert (done["sample_rate"], done["channels"], done["samples"]) == (44100, 2, 529200)
    status, events = page.ask(f"/api/jobs/{job['id']}/events")
    assert json.loads(events.removeprefix(b"data: "))["state"] == "finished"
    stems = [
        soundfile.read(io.BytesIO(page.ask(f"/api/jobs/{job['id']}/stems/{name}?format=flac")[1]))[0]
        for name in done["stems"]
    ]
    assert status == 200
    np.testing.assert_allclose(sum(stems), soundfile.read(EXAMPLE)[0], atol=4 / 2**23)


def test_the_example_client_takes_an_archive_away(page, tmp_path):
    client = EXAMPLE.parents[1] / "client.py"
    command = [sys.executable, client, page.url, EXAMPLE, tmp_path / "stems.zip"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.splitlines()[-1] == "finished  12 s"
    with zipfile.ZipFile(tmp_path / "stems.zip") as archive:
        assert archive.namelist() == ["1 harmonic.wav", "2 percussive.wav"]


def test_a_killed_worker_costs_one_attempt_and_the_other_jobs_nothing(tmp_path):
    with serving(tmp_path / "jobs") as page:
        first = page.upload(wave(200), offer="repet-sim", name="first.wav")
        other = page.upload(wave(1), name="other.wav", client="other")
        for _ in range(2):
            page.wait_for(first["id"], "running")
            wait_for(lambda: page.json(f"/api/jobs/{first['id']}")["phase"] == "separating")
            worker_of(page).send_signal(signal.SIGKILL)
            wait_for(lambda: page.json(f"/api/jobs/{first['id']}")["phase"] != "separating")
        failed = page.wait_for(first["id"], "failed")
        assert failed["error"] == "given up after 2 attempts: the worker ended with code -9"
        assert failed["notes"] == ["begun again: the worker ended with code -9"]
        assert page.wait_for(other["id"], "finished")["notes"] == []


def test_after_a_kill_of_the_page_nothing_is_lost(tmp_path):
    with serving(tmp_path / "jobs") as page:
        finished = page.upload(wave(1))
        page.wait_for(finished["id"], "finished")
        running = page.upload(wave(200), offer="repet-sim", name="long.wav")
        waiting = page.upload(wave(1), name="waits.wav")
        page.wait_for(running["id"], "running")
        children = workers(page)
        page.process.kill()
        page.process.wait()
        assert psutil.wait_procs(children, timeout=30)[1] == []
    with serving(tmp_path / "jobs") as page:
        assert page.json(f"/api/jobs/{finished['id']}")["state"] == "finished"
        again = page.wait_for(running["id"], "running")
        assert again["notes"] == ["begun again after a restart of the service"]
        assert page.ask(f"/api/jobs/{running['id']}", method="DELETE")[0] == 204
        assert page.wait_for(waiting["id"], "finished")["notes"] == []


def test_twenty_clients_at_once_lose_nothing_and_the_page_stays_small(page, jobs):
    """`benchmarks/page_load.py` does the same with songs of three minutes."""
    songs = [wave(15, seed=number) for number in range(20)]
    with ThreadPoolExecutor(20) as clients:
        sent = list(clients.map(lambda n: page.upload(songs[n], name=f"{n}.wav", client=str(n)), range(20)))
    for job, song in zip(sent, songs, strict=True):
        assert (jobs / "jobs" / job["id"] / "upload").read_bytes() == song
    ended = [page.wait_for(job["id"], "finished") for job in sent]
    memory = psutil.Process(page.process.pid).memory_info().rss
    assert [job["samples"] for job in ended] == [15 * RATE] * 20
    assert memory < 200e6


def test_hostile_uploads_are_answered_and_the_page_goes_on(tmp_path):
    with serving(tmp_path / "jobs", "--upload", "1") as page:
        status, content = page.ask(
            "/api/jobs?offer=hpss", method="POST", data=b"RIFF", headers={"Content-Length": "10000000000"}
        )
        assert (status, json.loads(content)["detail"]) == (413, "an upload may have 1 MB")
        fake = page.upload(b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(100), name="../../../etc/passwd")
        nothing = [page.upload(os.urandom(100 + number), name=f"{number}") for number in range(SMALL_JOBS)]
        sound = page.upload(wave(1), client="somebody else")
        assert page.wait_for(sound["id"], "finished")
        assert "passwd" in page.wait_for(fake["id"], "failed")["error"]
        errors = [page.wait_for(job["id"], "failed")["error"] for job in nothing]
        assert all("\n" not in error and "Traceback" not in error for error in errors)
        assert {path.name for path in (tmp_path / "jobs").iterdir()} == {
            job["id"] for job in (fake, sound, *nothing)
        }


def test_damaged_files_are_each_answered_and_no_worker_dies_of_them(tmp_path):
    files = [file for file in write_corpus(tmp_path, DAMAGED, 7) if file.stat().st_size]
    with serving(tmp_path / "jobs") as page:
        sent = [page.upload(file.read_bytes(), name=file.name) for file in files]
        ended = [page.wait_for(job["id"], "finished", "failed") for job in sent]
    assert {job["state"] for job in ended} == {"finished", "failed"}
    assert all("\n" not in job["error"] and "internal error" not in job["error"] for job in ended)
    assert all(job["attempts"] == 1 for job in ended)


def test_who_sends_nothing_is_given_up_and_leaves_nothing(tmp_path):
    listener = open_socket("127.0.0.1", 0)
    with Service(tmp_path / "jobs", Limits(silence=0.5)) as service:
        server = make_server(make_application(service))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        with socket.create_connection(listener.getsockname()) as slow:
            slow.sendall(
                b"POST /api/jobs?offer=hpss HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nRIFF"
            )
            answer = slow.recv(10_000).decode()
        assert "408" in answer
        wait_for(lambda: list((tmp_path / "jobs").iterdir()) == [])
        server.should_exit = True
        thread.join(20)


def test_a_job_that_takes_too_much_memory_is_given_up(tmp_path):
    with Service(tmp_path / "jobs", Limits(memory=50_000_000)) as service:
        job = service.receive("song.wav", "hpss", "")
        job.upload.write_bytes(wave(5))
        service.received(job)
        wait_for(lambda: job.state == "failed")
    assert job.error == "given up after 2 attempts: it took more than 0.05 GB of memory"


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
