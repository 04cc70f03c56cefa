"""Many clients upload a song at once: python benchmarks/page_load.py [--clients 5] [--minutes 1]."""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import soundfile

RATE = 44100


def main() -> None:
    """Run the clients, and print what they saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--offer", default="hpss", help="Task or model.")
    arguments = parser.parse_args()
    song = make_song(arguments.minutes)
    with tempfile.TemporaryDirectory() as folder:
        process, page = start(Path(folder))
        try:
            run(process, page, song, arguments)
        finally:
            process.terminate()
            process.wait()


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the service on a free port; return it and its address."""
    command = [sys.executable, "-m", "soloist.cli.main", "serve", "--port", "0", "-o", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = re.search(r"http://[\d.:]+", process.stderr.readline())
    assert found is not None
    return process, found[0]


def make_song(minutes: float) -> bytes:
    """Encode stereo noise of 16 bits."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(60 * minutes * RATE), 2), np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, "PCM_16", format="WAV")
    return file.getvalue()


def run(process: subprocess.Popen[str], page: str, song: bytes, arguments: argparse.Namespace) -> None:
    """Upload from all clients at once, wait for all jobs, print the figures."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(arguments.clients) as clients:
        jobs = list(
            clients.map(lambda n: upload(page, song, arguments.offer, str(n)), range(arguments.clients))
        )
    received = time.perf_counter() - begun
    server, memory = psutil.Process(process.pid), 0.0
    while active := [job for job in ask(f"{page}/api/jobs") if job["state"] not in ("finished", "failed")]:
        memory = max(memory, server.memory_info().rss / 1e6)
        print(f"\r{len(active)} to do, page {memory:.0f} MB", end="", flush=True)
        time.sleep(0.5)
    ended = [ask(f"{page}/api/jobs/{job['id']}") for job in jobs]
    finished = sum(job["state"] == "finished" and job["size"] == len(song) for job in ended)
    print(f"\r{len(jobs)} clients, {len(song) / 1e6:.0f} MB each: all received in {received:.1f} s")
    print(f"finished: {finished} of {len(jobs)}, in {time.perf_counter() - begun:.0f} s")
    print(f"largest memory of the page's process: {memory:.0f} MB")


def upload(page: str, song: bytes, offer: str, client: str) -> dict[str, object]:
    """Send a song as one of the clients."""
    headers = {"X-Client": client, "Content-Type": "application/octet-stream"}
    return ask(urllib.request.Request(f"{page}/api/jobs?offer={offer}&name={client}.wav", song, headers))


def ask(request: str | urllib.request.Request) -> dict:
    """Content of an answer."""
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
