"""Songs of the service: finished jobs, and the service as a program."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import quote

import numpy as np
import soundfile

from soloist.server.separation_worker import keep_tracks

RATE = 8000


def finished_job(store, stems, *, rate=RATE, name="a song.mp3"):
    """A finished job of stems `(channels, samples)`, and their sum as the mixture."""
    job = store.create(name=name)
    files = {}
    for number, stem in enumerate(stems.values(), 1):
        files[number] = job.folder / f"{number}.flac"
        soundfile.write(files[number], stem.T, rate, "PCM_24", format="FLAC")
    with job.upload.open("wb") as file:
        soundfile.write(file, np.sum(list(stems.values()), axis=0).T, rate, "FLOAT", format="WAV")
    job.stems, job.sample_rate = list(stems), rate
    job.channels, job.state = len(next(iter(stems.values()))), "finished"
    job.samples = keep_tracks(job, files)
    job.done = job.duration = job.samples / rate
    store.save(job)
    return job


def noise(seed, *shape, level=0.1):
    """Noise below full scale, of 16 bits."""
    values = np.clip(level * np.random.default_rng(seed).standard_normal(shape), -0.9, 0.9)
    return (np.round(values * 32768) / 32768).astype(np.float32)


class Page:
    """A running `soloist serve`."""

    def __init__(self, process, url):
        self.process, self.url = process, url

    def ask(self, path, *, method="GET", data=None, headers=None):
        """Status and content of the answer to a request."""
        request = urllib.request.Request(self.url + path, data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read()

    def json(self, path, **request):
        return json.loads(self.ask(path, **request)[1])

    def upload(self, content, *, offer="hpss", name="song.wav", client=""):
        """State of a new job."""
        path = f"/api/jobs?offer={offer}&name={quote(name)}"
        return self.json(path, method="POST", data=content, headers={"X-Client": client})

    def wait_for(self, job_id, *states, seconds=120):
        """State of a job once it is one of `states`."""
        end = time.monotonic() + seconds
        while (job := self.json(f"/api/jobs/{job_id}"))["state"] not in states:
            assert time.monotonic() < end, job
            time.sleep(0.1)
        return job


@contextmanager
def serving(folder, *arguments):
    """Run `soloist serve` on a free port until the block ends."""
    command = [
        sys.executable,
        "-m",
        "soloist.cli.main",
        "serve",
        "--port",
        "0",
        "-o",
        str(folder),
        *arguments,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        found = re.search(r"http://\S+?/(?=[?;# ]|$)", line)
        assert found, line
        yield Page(process, found[0].rstrip("/"))
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()
