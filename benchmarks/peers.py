"""Time and memory of whole commands: Soloist and its peers, same weights and recording, in turn.

    python benchmarks/peers.py FOLDER --prepare [--rows spleeter htdemucs]
    python benchmarks/peers.py FOLDER --rows spleeter [--seconds 240] [--precision bfloat16] [--rounds 1]

The rows and their peers are in `peers.yaml`. `--prepare` makes an environment of its own for each peer below
FOLDER, writes random weights in the peer's format where the published ones cannot be downloaded, and imports
them. A measurement runs each peer and Soloist as processes of their own, on two threads, and prints a line
for each pair: seconds and peak memory (maximum resident set) of both, their ratios, the largest difference of
the stems after the best gain, and the seconds that the network's operations would take at the rate of a large
matrix product. The line is kept in `docs/results/peers.csv`, in place of an earlier one of the same pair and
precision.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import yaml

from processes import Cost, measure_process, write_song
from soloist.audio import read_audio

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent / "docs/results/peers.csv"
KEY = ["row", "peer", "precision"]
MATRIX = 2048


@dataclass(frozen=True)
class Peer:
    """Program to compare with, in an environment of its own.

    Attributes:
        install: Requirements for pip.
        run: The command to measure.
        without_dependencies: Requirements whose own requirements are not installed.
        prepare: A command to run once, before the measurements.
        variables: Environment variables of its commands.
    """

    install: list[str]
    run: list[str]
    without_dependencies: list[str] = field(default_factory=list)
    prepare: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A task for Soloist and its peers.

    Attributes:
        title: The task, in the table.
        peers: Peers by name and version.
        prepare: Soloist's command that puts the model on disk.
        model: Soloist's name of the model; empty if the task is scoring.
        weights: System of `peer_programs.py` that makes random weights; empty for published ones.
        sample_rate: Rate of the recording, Hz; mono below 44.1 kHz.
    """

    title: str
    peers: dict[str, Peer]
    prepare: list[str] = field(default_factory=list)
    model: str = ""
    weights: str = ""
    sample_rate: int = 44100


def read_rows() -> dict[str, Row]:
    """All rows by name."""
    described = yaml.safe_load((HERE / "peers.yaml").read_text(encoding="utf-8"))
    return {
        name: Row(**{**row, "peers": {peer: Peer(**each) for peer, each in row["peers"].items()}})
        for name, row in described.items()
    }


class Bench:
    """Folder with environments, weights and recordings; runs the commands of rows.

    Args:
        folder: The folder; it is made.
        threads: Processor threads of each process.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder, self.threads = folder.resolve(), threads
        self.folder.mkdir(parents=True, exist_ok=True)
        # Models and caches of Soloist, and of peers that keep theirs in the home folder.
        self.variables = {"SOLOIST_HOME": self.folder / "soloist", "HOME": self.folder / "home"}
        os.environ["SOLOIST_HOME"] = str(self.variables["SOLOIST_HOME"])
        self.output = self.folder / "output"

    def weights(self, name: str) -> Path:
        """Folder of the weights of a row."""
        return self.folder / "weights" / name

    def python(self, peer: str) -> Path:
        """Python of a peer."""
        return self.folder / "environments" / peer.split()[0] / "bin/python"

    def words(self, command: list[str], row: str, peer: str = "", song: Path | None = None) -> list[str]:
        """Command with the paths of this folder in place of their names."""
        python = self.python(peer) if peer else Path(sys.executable)
        known = {"python": python, "bin": python.parent, "programs": HERE / "peer_programs.py"}
        known |= {"weights": self.weights(row), "output": self.output}
        known |= {"song": song or "", "songs": song.parent if song else ""}
        return [word.format(**known) for word in command]

    def measure(self, command: list[str], variables: Mapping[str, object]) -> Cost:
        """Cost of a command that writes into the emptied output folder."""
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir()
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), self.threads)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": 3, "TF_NUM_INTRAOP_THREADS": self.threads}
        return measure_process(command, {**threads, **quiet, **self.variables, **variables})

    def install(self, name: str, peer: Peer) -> None:
        """Make the environment of a peer, if it is not there whole."""
        python = self.python(name)
        complete = python.parents[1] / "complete"
        if complete.exists():
            return
        venv.create(python.parents[1], with_pip=True)
        for requirements, options in ((peer.install, []), (peer.without_dependencies, ["--no-deps"])):
            if requirements:
                command = [python, "-m", "pip", "install", "--quiet", *options, *requirements]
                subprocess.run(command, check=True)
        # The package index has torchaudio for CUDA alone; without its extension, which no peer calls, it
        # works with any PyTorch.
        for extension in python.parents[1].rglob("torchaudio/lib/_torchaudio*.so"):
            extension.unlink()
        complete.touch()

    def prepare(self, name: str, row: Row) -> None:
        """Install the peers of a row, make its weights, and put them where each looks for them."""
        for peer, each in row.peers.items():
            self.install(peer, each)
        if row.weights and not self.weights(name).exists():
            maker = self.python(next(iter(row.peers)))
            begun = self.weights(f"{name}.part")
            begun.mkdir(parents=True, exist_ok=True)
            subprocess.run([maker, HERE / "peer_programs.py", "make", row.weights, begun], check=True)
            begun.rename(self.weights(name))
        for peer, each in row.peers.items():
            # unblend refuses a name that it knows.
            prepared = self.python(peer).parents[1] / "prepared"
            if each.prepare and not prepared.exists():
                variables = {"PYTHONPATH": "", **each.variables}
                self.measure(self.words(each.prepare, name, peer), variables)
                prepared.touch()
        if row.prepare:
            self.measure([*SOLOIST, *self.words(row.prepare, name)], {})

    def song(self, row: Row, seconds: float) -> Path:
        """The recording of a row, alone in its folder; for scoring, beside folders of stems."""
        folder = (
            self.folder / "songs" / f"{row.sample_rate}-{seconds:g}-{'stems' if not row.model else 'song'}"
        )
        path = folder / "song.wav"
        if not path.exists():
            folder.mkdir(parents=True)
            write_song(path, seconds, sample_rate=row.sample_rate, mono=row.sample_rate < 44100)
            if not row.model:
                write_stems(folder, seconds)
        return path


SOLOIST = [sys.executable, "-m", "soloist.cli.main"]


def write_stems(folder: Path, seconds: float) -> None:
    """Write true stems of noise in `references`, and estimates with leakage and noise in `estimates`."""
    from bss_eval import SAMPLE_RATE, make_signals

    names = ("drums", "bass", "other", "vocals")
    for kind, signals in zip(
        ("references", "estimates"), make_signals(seconds, len(names), False), strict=True
    ):
        (folder / kind).mkdir()
        for name, signal in zip(names, signals, strict=True):
            soundfile.write(folder / kind / f"{name}.wav", signal.T.numpy(), SAMPLE_RATE, "FLOAT")


def own_command(row: Row, song: Path, output: Path, precision: str) -> list[str]:
    """The command of Soloist for a row."""
    if not row.model:
        return [
            *SOLOIST,
            "score",
            f"{song.parent}/references",
            f"{song.parent}/estimates",
            "-o",
            str(output),
            "-q",
        ]
    options = ["-m", row.model, "-o", str(output), "--engine", "torch", "--precision", precision, "-q"]
    return [*SOLOIST, "separate", str(song), *options]


def read_stems(folder: Path) -> dict[str, np.ndarray]:
    """Stems `(channels, samples)` by the lower-case names of their files."""
    return {path.stem.lower(): read_audio(path)[0] for path in sorted(folder.rglob("*.wav"))}


def largest_difference(theirs: Mapping[str, np.ndarray], ours: Mapping[str, np.ndarray]) -> float:
    """Largest difference of stems of one name after the best gain, relative to the peak; NaN without such."""
    differences = [math.nan]
    for name, own in ours.items():
        match = next((audio for known, audio in theirs.items() if name in known), None)
        if match is None or match.shape[0] != own.shape[0]:
            continue
        samples = min(match.shape[1], own.shape[1])
        own, other = own[:, :samples], match[:, :samples]
        gain = np.vdot(other, own) / max(np.vdot(other, other), 1e-20)
        differences.append(float(np.abs(gain * other - own).max() / max(np.abs(own).max(), 1e-20)))
    return float(np.nanmax(differences)) if len(differences) > 1 else math.nan


def least_seconds(row: Row, seconds: float, precision: str, threads: int) -> float:
    """Seconds of the operations of the network for a recording, at the rate of a large matrix product."""
    import torch

    from soloist import load
    from soloist.inference import make_engine
    from soloist.profiling import count_operations
    from soloist.separators import Chunking

    torch.set_num_threads(threads)
    left, right = torch.randn(2, MATRIX, MATRIX, dtype=getattr(torch, precision))
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        torch.mm(left, right)
        times.append(time.perf_counter() - begun)
    separator = load(row.model)
    chunking = Chunking.of(separator)
    engine = make_engine("torch", separator, "cpu")
    mixture = 0.1 * torch.randn(1, separator.channels, chunking.length)
    operations = count_operations(lambda: engine(mixture))
    chunks = max(1, math.ceil(seconds * separator.sample_rate / chunking.step))
    return operations * chunks * min(times) / (2 * MATRIX**3)


def compare(bench: Bench, name: str, row: Row, peer: str, options: argparse.Namespace) -> dict[str, object]:
    """Measure a pair in turn; the line of the table."""
    song = bench.song(row, options.seconds)
    their_command = bench.words(row.peers[peer].run, name, peer, song)
    our_command = own_command(row, song, bench.output, options.precision)
    theirs, ours, difference = [], [], math.nan
    for _ in range(options.rounds):
        theirs.append(bench.measure(their_command, {"PYTHONPATH": "", **row.peers[peer].variables}))
        stems = read_stems(bench.output) if row.model else {}
        ours.append(bench.measure(our_command, {}))
        if row.model:
            difference = largest_difference(stems, read_stems(bench.output))
    their_time, our_time = (statistics.median(each.seconds for each in costs) for costs in (theirs, ours))
    their_memory, our_memory = (statistics.median(each.memory for each in costs) for costs in (theirs, ours))
    least = least_seconds(row, options.seconds, options.precision, options.threads) if row.model else math.nan
    return {
        "row": row.title,
        "peer": peer,
        "precision": options.precision,
        "audio (s)": f"{options.seconds:g}",
        "peer (s)": f"{their_time:.1f}",
        "Soloist (s)": f"{our_time:.1f}",
        "time": f"{our_time / their_time:.2f}",
        "peer (MB)": f"{their_memory:.0f}",
        "Soloist (MB)": f"{our_memory:.0f}",
        "memory": f"{our_memory / their_memory:.2f}",
        "difference": "-" if math.isnan(difference) else f"{difference:.1e}",
        "least (s)": "-" if math.isnan(least) else f"{least:.1f}",
    }


def keep(line: Mapping[str, object], path: Path) -> None:
    """Write a line into the table, in place of that of the same pair and precision."""
    table = pd.DataFrame([line]).astype(str)
    if path.exists():
        earlier = pd.read_csv(path, dtype=str, keep_default_na=False)
        same = (earlier[KEY] == table[KEY].iloc[0]).all(axis=1)
        table = pd.concat([earlier[~same], table]).sort_values(KEY, kind="stable")
    table.to_csv(path, index=False)


def main() -> None:
    """Prepare, or measure and print."""
    rows = read_rows()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="environments, weights and recordings; tens of GB")
    parser.add_argument(
        "--rows", nargs="+", choices=rows, default=list(rows), metavar="ROW", help=", ".join(rows)
    )
    parser.add_argument("--peers", nargs="+", help="only peers whose names begin so")
    parser.add_argument("--prepare", action="store_true", help="install and make weights; measure nothing")
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of Soloist")
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args()
    bench = Bench(options.folder, options.threads)
    for name in options.rows:
        if options.prepare:
            bench.prepare(name, rows[name])
            continue
        for peer in rows[name].peers:
            if options.peers is None or peer.startswith(tuple(options.peers)):
                line = compare(bench, name, rows[name], peer, options)
                keep(line, options.table)
                print("; ".join(f"{key} {value}" for key, value in line.items()), flush=True)


if __name__ == "__main__":
    main()
