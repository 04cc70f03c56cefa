"""Time and memory of BSS Eval v4, compared with museval.

    python benchmarks/bss_eval.py [--seconds 60] [--sources 4] [--threads 2] [--band-limited]
        [--transposed]

The signals are stereo noise at 44.1 kHz, with windows and hops of one second. One process times both; the
peak memory (maximum resident set, signals included) is that of a process with Soloist alone, and of another
one with both. With `--transposed` the channels lie next to each other in memory, as soundfile reads them, in
museval's own layout. Without museval (`pip install museval`) the benchmark measures Soloist alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_RATE = 44100


def make_signals(seconds: float, sources: int, band_limited: bool) -> tuple[Tensor, Tensor]:
    """Make references `(sources, 2, samples)` of coloured noise; estimates with echoes, leakage and noise."""
    import torch

    samples = round(seconds * SAMPLE_RATE)
    generator = torch.Generator().manual_seed(0)
    references = torch.empty(sources, 2, samples, dtype=torch.float64)
    references.normal_(0, 0.1, generator=generator)
    for signal in references.flatten(0, 1):
        spectrum = torch.fft.rfft(signal)
        bins = torch.linspace(0, 1, len(spectrum))
        spectrum /= 1 + 20 * bins
        if band_limited:
            spectrum[bins > 0.73] = 0
        signal.copy_(torch.fft.irfft(spectrum, n=samples))
    estimates = references.clone()
    for index, estimate in enumerate(estimates):
        estimate[:, 40:].add_(references[index, :, :-40], alpha=0.2)
        estimate.add_(references[index - 1], alpha=0.1)
        estimate.add_(torch.randn(2, samples, generator=generator), alpha=1e-3)
    return references, estimates


def measure(arguments: argparse.Namespace, with_museval: bool) -> dict[str, Any]:
    """Time Soloist, then museval; the peak memory is that of the process so far."""
    import torch

    from soloist.metrics import bss_eval
    from soloist.resources import peak_memory

    torch.set_num_threads(arguments.threads)
    references, estimates = make_signals(arguments.seconds, arguments.sources, arguments.band_limited)
    if arguments.transposed:
        references, estimates = (signals.mT.contiguous().mT for signals in (references, estimates))
    begin, worked = time.perf_counter(), time.process_time()
    ours = bss_eval(references, estimates, window=SAMPLE_RATE, hop=SAMPLE_RATE)
    report = {"soloist": time.perf_counter() - begin, "rank_deficient": ours.rank_deficient}
    report["soloist work"] = time.process_time() - worked
    if with_museval:
        import museval

        arrays = (signals.movedim(1, 2).numpy() for signals in (references, estimates))
        begin, worked = time.perf_counter(), time.process_time()
        theirs = museval.metrics.bss_eval(*arrays, window=SAMPLE_RATE, hop=SAMPLE_RATE)
        report["museval"] = time.perf_counter() - begin
        report["museval work"] = time.process_time() - worked
        pairs = zip((ours.sdr, ours.isr, ours.sir, ours.sar), theirs, strict=False)
        report["difference"] = max(
            float((mine - torch.from_numpy(other)).abs().max()) for mine, other in pairs
        )
    return report | {"peak_memory": peak_memory()}


def run_child(arguments: list[str], only: str, threads: int) -> dict[str, Any]:
    """Measure in another process with a number of threads for all libraries."""
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = os.environ | dict.fromkeys(variables, str(threads))
    command = [sys.executable, __file__, *arguments, "--only", only]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def main() -> None:
    """Measure, and print a line for each system."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sources", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--band-limited", action="store_true", help="nothing above 16 kHz, as in AAC")
    parser.add_argument("--transposed", action="store_true", help="channels next to each other in memory")
    parser.add_argument("--only", choices=["soloist", "both"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments, with_museval=arguments.only == "both")))
        return
    alone = run_child(sys.argv[1:], "soloist", arguments.threads)
    print(f"soloist  {alone['soloist']:7.2f} s  {alone['peak_memory']:6.0f} MB", end="")
    print("  (rank-deficient)" if alone["rank_deficient"] else "")
    if find_spec("museval") is None:
        print("museval is not installed: pip install museval")
        return
    both = run_child(sys.argv[1:], "both", arguments.threads)
    print(f"museval  {both['museval']:7.2f} s  {both['peak_memory']:6.0f} MB")
    print(f"in one process {both['soloist']:.2f} s against {both['museval']:.2f} s: ", end="")
    ratio = both["museval"] / both["soloist"]
    print(f"{ratio:.1f} times faster; they differ by {both['difference']:.1e} dB")
    work = both["museval work"] / both["soloist work"]
    print(
        f"processor time {both['soloist work']:.2f} s against {both['museval work']:.2f} s: {work:.1f} times"
    )


if __name__ == "__main__":
    main()
