"""Whole songs by HTDemucs: `soloist separate` against demucs 4.1.0, with the same random weights.

    python benchmarks/demucs_songs.py --peer /tmp/peer/bin/python --seconds 60
    python benchmarks/demucs_songs.py --peer /tmp/peer/bin/python --seconds 60 600 --rounds 1
    python benchmarks/demucs_songs.py --peer /tmp/peer/bin/python --seconds 600 --peer-memory

PEER is the Python of an environment with demucs 4.1.0. The network has its full size. Each run is a process
of its own that reads a WAV file and writes four WAV files (32-bit float), in turns; the peer calls
`apply_model` as `demucs -n htdemucs --shifts 0 --float32` does, with soundfile in place of torchaudio. Prints
the seconds and the peak memory (maximum resident set) of each process, and the medians of the ratios. With
--peer-memory the peer runs alone, and its network on the first segment alone: the estimates of the others are
zeros, for the same arrays in a fraction of the time.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from processes import Cost, measure_process, write_song

MAKE = """
import sys, torch
from fractions import Fraction
from demucs.htdemucs import HTDemucs
torch.manual_seed(0)
arguments = dict(sources=["drums", "bass", "other", "vocals"], segment=Fraction(39, 5))
arguments |= dict(bottom_channels=512, t_layers=5, t_heads=8, t_dropout=0.02)
arguments |= dict(channels=48, depth=4, nfft=4096, dconv_mode=3, dconv_comp=8)
model = HTDemucs(**arguments)
package = dict(klass=HTDemucs, args=(), kwargs=arguments, state=model.state_dict())
torch.save(package, sys.argv[1])
"""

SEPARATE = """
import sys, pathlib, soundfile, torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs
package = torch.load(sys.argv[1], weights_only=False)
model = HTDemucs(**package["kwargs"])
model.load_state_dict(package["state"])
model.eval()
if len(sys.argv) > 4:
    network, segments = model.forward, []
    def forward(mix):
        segments.append(len(mix))
        return network(mix) if len(segments) == 1 else torch.zeros(len(mix), 4, *mix.shape[1:])
    model.forward = forward
audio, rate = soundfile.read(sys.argv[2], dtype="float32", always_2d=True)
mixture = torch.from_numpy(audio.T.copy())
reference = mixture.mean(0)
mixture = (mixture - reference.mean()) / (reference.std() + 1e-8)
stems = apply_model(model, mixture[None], shifts=0, split=True, overlap=0.25, device="cpu", num_workers=0)[0]
stems = stems * (reference.std() + 1e-8) + reference.mean()
folder = pathlib.Path(sys.argv[3])
folder.mkdir()
for name, stem in zip(model.sources, stems):
    soundfile.write(folder / f"{name}.wav", stem.numpy().T, rate, subtype="FLOAT")
"""


def measure(command: list[str], threads: int, home: Path) -> Cost:
    """Cost of a process with so many threads."""
    return measure_process(command, {"OMP_NUM_THREADS": threads, "SOLOIST_HOME": home})


def largest_difference(theirs: Path, ours: Path) -> float:
    """Largest difference of the stems, relative to the peak."""
    differences, peaks = [], []
    for path in sorted(theirs.glob("*.wav")):
        (expected, _), (found, _) = soundfile.read(path), soundfile.read(next(ours.rglob(path.name)))
        differences.append(np.abs(found - expected).max())
        peaks.append(np.abs(expected).max())
    return float(max(differences) / max(peaks))


def main() -> None:
    """Compare the two for each length and print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True)
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--peer-memory", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        weights, home, song = folder / "htdemucs.th", folder / "home", folder / "song.wav"
        subprocess.run([arguments.peer, "-c", MAKE, weights], check=True)
        soloist = [sys.executable, "-m", "soloist.cli.main"]
        measure([*soloist, "models", "import", str(weights), "--name", "htdemucs-random"], 2, home)
        options = [
            "-m",
            "htdemucs-random",
            "--engine",
            arguments.engine,
            "--overwrite",
            "-o",
            str(folder / "ours"),
        ]
        for seconds in arguments.seconds:
            write_song(song, seconds)
            if arguments.peer_memory:
                peer = [arguments.peer, "-c", SEPARATE, weights, song, folder / f"peer-{seconds:g}", "first"]
                memory = measure(peer, arguments.threads, home)[1]
                print(f"{seconds:6.0f} s of music: demucs {memory:5.0f} MB", flush=True)
                continue
            ratios = []
            for place in range(arguments.rounds):
                theirs = folder / f"theirs-{seconds:g}-{place}"
                peer = measure(
                    [arguments.peer, "-c", SEPARATE, weights, song, theirs], arguments.threads, home
                )
                own = measure([*soloist, "separate", str(song), *options], arguments.threads, home)
                ratios.append((own[0] / peer[0], own[1] / peer[1]))
                print(
                    f"{seconds:6.0f} s of music: demucs {peer[0]:6.1f} s, {peer[1]:5.0f} MB; "
                    f"soloist {own[0]:6.1f} s, {own[1]:5.0f} MB; "
                    f"largest difference {largest_difference(theirs, folder / 'ours'):.1e} of the peak",
                    flush=True,
                )
            times, memories = zip(*ratios, strict=True)
            print(
                f"{seconds:6.0f} s of music: time {statistics.median(times):.2f}, "
                f"memory {statistics.median(memories):.2f} of demucs's",
                flush=True,
            )


if __name__ == "__main__":
    main()
