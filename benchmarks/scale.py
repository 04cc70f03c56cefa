"""Runs over a library: one worker against two on this machine, and a simulation of a large cluster.

    python benchmarks/scale.py measure --model spleeter-2stems --seconds 30 --files 8
    python benchmarks/scale.py costs
    python benchmarks/scale.py simulate --workers 1000 --files 10000000

`measure` separates the same files by one process with one thread, one process with two and two processes with
one each, after a file that loads the model, and prints seconds of audio a second and the efficiency. `costs`
measures what a file costs beside its separation: bytes and seconds of its names, its outcome and its row.
`simulate` runs the order of a run (largest first, in bundles, each to the next free worker) with them. Its
assumptions are its options; docs/scale.md explains them.
"""

from __future__ import annotations

import argparse
import heapq
import pickle
import tempfile
import time
import tracemalloc
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from soloist.datasets import synthesize_band
from soloist.inference import FileSettings, Track
from soloist.library import EntryWorker, LibraryEntry, LibraryRun, LocalWorkers, Manifest, find_entries

SAMPLE_RATE = 44100
BUNDLE, WAVE = 16, 100_000
READ, WRITTEN = 0.1e6, 4 * 44100 * 2 * 4
"""Bytes of a second of audio as stereo FLAC, and as four stems of float WAV."""


@dataclass(frozen=True)
class Costs:
    """Costs of a file beside its separation.

    Attributes:
        name_bytes: Bytes of its names in the object store.
        outcome_bytes: Bytes of its outcome in the object store.
        row_bytes: Bytes of its row in the manifest.
        entry_bytes: Bytes of memory of the head before it is separated.
        find_seconds: Seconds of the head to find it and to look for its row.
        row_seconds: Seconds of the head to take its outcome and write its row.
    """

    name_bytes: float
    outcome_bytes: float
    row_bytes: float
    entry_bytes: float
    find_seconds: float
    row_seconds: float


def measure(model: str, seconds: float, files: int) -> None:
    """Print the speed of one and two workers."""
    with tempfile.TemporaryDirectory() as folder:
        songs = Path(folder, "songs")
        warm = write_songs(Path(folder, "warm"), 2, 3.0)
        write_songs(songs, files, seconds)
        speeds = {}
        for workers, threads in ((1, 1), (1, 2), (2, 2)):
            out = FileSettings(Path(folder, f"out{workers}{threads}"))
            with LocalWorkers(workers, threads) as processes:
                LibraryRun(find_entries([str(warm)], model, out, print), processes).run()
                run = LibraryRun(find_entries([str(songs)], model, out, print), processes)
                start = time.perf_counter()
                run.run()
                speeds[workers, threads] = files * seconds / (time.perf_counter() - start)
            print(
                f"{workers} x {threads // workers} threads: {speeds[workers, threads]:.2f} x real time",
                flush=True,
            )
        print(f"efficiency of two workers: {speeds[2, 2] / speeds[1, 1] / 2:.2f}")
        print(f"two workers against one of two threads: {speeds[2, 2] / speeds[1, 2]:.2f}")


def write_songs(folder: Path, count: int, seconds: float) -> Path:
    """Write songs of the synthetic band."""
    folder.mkdir()
    band = np.sum(
        list(synthesize_band(min(seconds, 30.0), sample_rate=SAMPLE_RATE, seed=0).values()), axis=0
    ).T
    song = np.tile(band, (int(np.ceil(seconds * SAMPLE_RATE / len(band))), 1))[: round(seconds * SAMPLE_RATE)]
    for number in range(count):
        soundfile.write(folder / f"song{number}.wav", song, SAMPLE_RATE, "PCM_16")
    return folder


def measure_costs(count: int = 20_000) -> Costs:
    """Measure the costs of a file with a separation of one second, repeated as `count` files."""
    with tempfile.TemporaryDirectory() as folder:
        song = write_songs(Path(folder, "songs"), 1, 1.0) / "song0.wav"
        settings = FileSettings(Path(folder, "out"))
        outcome = EntryWorker().run(
            LibraryEntry(Track(song, "song"), "hpss", settings, song.stat().st_size, 1)
        )
        outputs = outcome.row.outputs * 2  # four stems
        tracemalloc.start()
        entries = [
            LibraryEntry(
                Track(Path(f"/archive/artist {n % 1000}/song {n}.flac"), f"artist {n % 1000}/song {n}"),
                "hpss",
                settings,
                n,
                n,
            )
            for n in range(count)
        ]
        memory = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        names = sum(len(pickle.dumps(entries[n : n + BUNDLE])) for n in range(0, 1600, BUNDLE)) / 1600
        rows = [
            replace(
                outcome.row,
                key=entry.key,
                input=entry.input,
                name=entry.track.name,
                outputs=outputs,
            )
            for entry in entries
        ]
        sent = [
            pickle.dumps([replace(outcome, row=row) for row in rows[n : n + BUNDLE]])
            for n in range(0, count, BUNDLE)
        ]
        with Manifest(settings.folder) as manifest:
            start = time.perf_counter()
            for bundle in sent:
                for each in pickle.loads(bundle):
                    manifest.add(each.row)
            row_seconds = (time.perf_counter() - start) / count
            start = time.perf_counter()
            found = sum(1 for _ in manifest.finished({entry.key for entry in entries}))
            assert found == count
            find_seconds = (time.perf_counter() - start) / count
        (part,) = (settings.folder / "manifest").glob("*.sqlite")
        return Costs(
            names, sum(map(len, sent)) / count, part.stat().st_size / count, memory, find_seconds, row_seconds
        )


def simulate(options: argparse.Namespace, costs: Costs) -> None:
    """Print when a cluster ends, and what the head has to do."""
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(np.log(options.median), options.sigma, options.files)
    lengths[::-1].sort()
    work = lengths / options.speed + options.overhead
    bundles = np.add.reduceat(work, np.arange(0, options.files, BUNDLE))
    free = [0.0] * options.workers
    deaths = lost = 0.0
    risks = rng.exponential(options.lifetime * 3600, len(bundles))
    for seconds, risk in zip(bundles.tolist(), risks.tolist(), strict=True):
        begun = free[0]
        if risk < seconds:  # the worker dies on the way: its bundle is done again, after a start
            deaths, lost = deaths + 1, lost + risk + options.start
            seconds += risk + options.start
        heapq.heapreplace(free, begun + seconds)
    end, busy = max(free), work.sum()
    rate = options.files / end
    hours = lengths.sum() / 3600
    print(f"{hours:,.0f} h of audio, {options.files:,} files, {options.workers:,} workers")
    print(
        f"end after {end / 3600:,.1f} h: {hours * 3600 / end:,.0f} x real time, "
        f"{busy / end / options.workers:.1%} of the workers' time; "
        f"{deaths:,.0f} deaths cost {lost / 3600:,.0f} h"
    )
    print(
        f"rows: {rate:,.1f} a second, {rate * costs.row_seconds:.2%} of a processor of the head; "
        f"at its limit {1 / costs.row_seconds:,.0f} a second"
    )
    print(
        f"manifest: {options.files * costs.row_bytes / 1e9:.1f} GB; "
        f"to look for all rows: {options.files * costs.find_seconds / 60:.0f} min"
    )
    print(f"memory of the head: {options.files * costs.entry_bytes / 1e9:.1f} GB of entries")
    speed = hours * 3600 / end
    print(f"file system: {speed * READ / 1e9:.1f} GB/s read, {speed * WRITTEN / 1e9:.1f} GB/s written")
    print(
        f"object store: {options.files * (costs.name_bytes + costs.outcome_bytes) / 1e9:.1f} GB in all, "
        f"{WAVE * costs.name_bytes / 1e6:.0f} MB of names at once; the audio is "
        f"{hours * 3600 * READ / 1e12:,.0f} TB read and {hours * 3600 * WRITTEN / 1e12:,.0f} TB written"
    )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    measured = commands.add_parser("measure")
    measured.add_argument("--model", default="spleeter-2stems")
    measured.add_argument("--seconds", type=float, default=30.0)
    measured.add_argument("--files", type=int, default=8)
    commands.add_parser("costs")
    simulated = commands.add_parser("simulate")
    simulated.add_argument("--workers", type=int, default=1000)
    simulated.add_argument("--files", type=int, default=10_000_000)
    simulated.add_argument("--median", type=float, default=210.0, help="median length of a file, s")
    simulated.add_argument("--sigma", type=float, default=0.5, help="spread of the logarithm of the lengths")
    simulated.add_argument("--speed", type=float, default=16.0, help="seconds of audio a second of a worker")
    simulated.add_argument("--overhead", type=float, default=0.3, help="seconds of a worker for each file")
    simulated.add_argument("--lifetime", type=float, default=24.0, help="mean hours until a worker dies")
    simulated.add_argument("--start", type=float, default=60.0, help="seconds until a new worker is ready")
    options = parser.parse_args()
    if options.command == "measure":
        measure(options.model, options.seconds, options.files)
        return
    costs = measure_costs()
    print(", ".join(f"{name} {value:.3g}" for name, value in asdict(costs).items()))
    if options.command == "simulate":
        simulate(options, costs)


if __name__ == "__main__":
    main()
