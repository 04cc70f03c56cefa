"""Separating and training on a GPU: speed, memory and equality with the CPU, in at most eight minutes.

    python benchmarks/gpu.py [--limit 480]
    python benchmarks/gpu.py --device cpu --small      rehearses the same on tiny networks, for tests

Networks have their published sizes and random weights; with demucs 4.1.0 installed, HTDemucs has its weights,
and the package runs on the same card, in float32 and by autocast, with the same batches. Each line is a
network, by PyTorch or by CUDA graphs, a precision and a number of chunks at once: milliseconds a chunk from
the memory of the machine and back, times real time, the card's peak memory, and the difference of two seconds
from the CPU in float32. Two of the networks separate a minute, too, with and without a thread that is ahead.
Exits with 1 if a difference is too large: above 1e-4 of the peak in float32 (TF32, which PyTorch takes for
convolutions by default, is off for this comparison alone), above -30 dB of the estimates in lower precision.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from soloist.errors import SoloistError
from soloist.estimation import RatioMask
from soloist.inference import StreamSettings, installed_engines, make_engine
from soloist.inference.stream import separate_stream
from soloist.networks import SpleeterUNet
from soloist.resources import peak_tensor_memory
from soloist.separators import Separator, SpectralSeparator, sudormrf_design
from soloist.training import read_recipe
from soloist.transforms import STFT
from training_step import plain_step, soloist_step

EXACT = 1e-4
CLOSE = -30.0
BATCHES = (1, 4, 16)
HEADINGS = ("system", "precision", "chunks", "ms a chunk", "x real time", "MB", "difference")


@dataclass(frozen=True)
class Bench:
    """Settings of a run.

    Attributes:
        device: Device to measure.
        small: Tiny networks, and one chunk.
        end: Time at which no further measurement begins, by `time.perf_counter`.
    """

    device: str
    small: bool
    end: float

    @property
    def batches(self) -> tuple[int, ...]:
        """Numbers of chunks at once."""
        return BATCHES[:1] if self.small else BATCHES

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines to measure."""
        return ("torch",) if self.device == "cpu" else installed_engines(self.device)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions to measure."""
        return ("float32",) if self.device == "cpu" else ("float32", "bfloat16", "float16")

    def time(self, run: Callable[[], object], budget: float = 3.0) -> float:
        """Median seconds of a call after a first one, of three calls or more."""
        taken: list[float] = []
        run()
        while len(taken) < (1 if self.small else 3) or (not self.small and sum(taken) < budget):
            self._wait()
            begun = time.perf_counter()
            run()
            self._wait()
            taken.append(time.perf_counter() - begun)
        return statistics.median(taken)

    def _wait(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)


def from_recipe(name: str) -> Separator:
    """The separator of a recipe, with random weights."""
    torch.manual_seed(0)
    return read_recipe(name).build_separator().eval()


def make_spleeter(small: bool) -> Separator:
    """Spleeter of two stems."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"num_bins": 2049, "num_input_bins": 1024, "num_frames": 512}
    if small:
        sizes = {"num_bins": 65, "num_input_bins": 32, "num_frames": 64, "filters": (3, 4, 5, 6, 7, 8)}
    n_fft = 2 * (sizes["num_bins"] - 1)
    return SpectralSeparator(
        STFT(n_fft, n_fft // 4, extent="full"),
        SpleeterUNet(**sizes),
        sources=["vocals", "accompaniment"],
        sample_rate=44100,
        representation="magnitude",
        mode="masking",
        chunk_frames=sizes["num_frames"],
        wiener=RatioMask(num_bins=sizes["num_input_bins"], extension="zeros"),
    ).eval()


def make_htdemucs(original: nn.Module | None, small: bool) -> Separator:
    """HTDemucs, with the weights of the original if that is there."""
    if original is None:
        return from_recipe("tiny-htdemucs" if small else "htdemucs-musdb18hq")
    from htdemucs import SIZES
    from soloist.zoo.importers.demucs import make_member

    return make_member("HTDemucs", SIZES, original.state_dict()).separator


def make_original(small: bool) -> nn.Module | None:
    """HTDemucs of demucs 4.1.0; None where it is not installed, or in a rehearsal."""
    if small:
        return None
    try:
        from demucs.htdemucs import HTDemucs

        from htdemucs import SIZES
    except ImportError:
        return None
    torch.manual_seed(0)
    model: nn.Module = HTDemucs(**SIZES).eval()
    return model


def difference(bench: Bench, separator: Separator, precision: str, engine: str) -> tuple[str, bool]:
    """Difference of two seconds from the CPU in float32, and True if it is small enough."""
    torch.manual_seed(1)
    samples = min(separator.chunk_length, 2 * separator.sample_rate)
    mixture = 0.1 * torch.randn(1, separator.channels, samples)
    expected = make_engine("torch", separator, "cpu")(mixture)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=precision != "float32"):
        found = make_engine(engine, separator, bench.device, precision=precision)(mixture)
    error = found - expected
    if precision == "float32":
        largest = float(error.abs().max() / expected.abs().max())
        return f"{largest:.1e}", largest <= EXACT
    level = 10 * float(torch.log10(error.square().sum() / expected.square().sum()))
    return f"{level:.1f} dB", level <= CLOSE


def separating(bench: Bench, name: str, separator: Separator) -> Iterator[tuple[list[str], bool]]:
    """Lines of a separator for each precision and number of chunks at once."""
    seconds = separator.chunk_length / separator.sample_rate
    for precision, kind in product(bench.precisions, bench.engines):
        system = name if kind == "torch" else f"{name}, {kind}"
        try:
            told, fine = difference(bench, separator, precision, kind)
        except SoloistError as error:
            # CUDA does not record every network.
            yield [system, precision, *["-"] * 4, str(error)], True
            continue
        engine = make_engine(kind, separator, bench.device, precision=precision)
        for batch in bench.batches:
            mixture = 0.1 * torch.randn(batch, separator.channels, separator.chunk_length)
            yield line(bench, system, precision, batch, seconds, partial(engine, mixture), told), fine


def recordings(bench: Bench, name: str, separator: Separator) -> Iterator[tuple[list[str], bool]]:
    """Lines of a whole recording, with the network in the caller's thread and in one that is ahead."""
    seconds = 2.0 if bench.small else 60.0
    audio = 0.1 * torch.randn(separator.channels, round(seconds * separator.sample_rate)).numpy()
    settings = StreamSettings(batch_size=bench.batches[-1])
    for precision, ahead in product(bench.precisions, (False, True)):
        engine = make_engine("torch", separator, bench.device, precision=precision)
        stream = partial(
            separate_stream, separator, [audio], separator.sample_rate, engine=engine, settings=settings
        )
        run = partial(deque, maxlen=0)
        system = f"{name}, {seconds:.0f} s, {'network ahead' if ahead else 'in turn'}"
        told = line(bench, system, precision, 1, seconds, lambda: run(stream(ahead=ahead)), "-")  # noqa: B023
        told[2] = str(settings.batch_size)
        yield told, True


def original_lines(bench: Bench, original: nn.Module) -> Iterator[tuple[list[str], bool]]:
    """Lines of demucs 4.1.0, with the same chunks."""
    model, dtypes = original.to(bench.device), {"float32": None, "float16": torch.float16}

    @torch.inference_mode()
    def run(mixture: Tensor, dtype: torch.dtype | None) -> Tensor:
        with torch.autocast(bench.device.partition(":")[0], dtype, enabled=dtype is not None):
            estimates: Tensor = model(mixture.to(bench.device))
        return estimates.cpu()

    for (precision, dtype), batch in product(dtypes.items(), bench.batches):
        mixture = 0.1 * torch.randn(batch, 2, 343980)
        yield line(bench, "demucs 4.1.0", precision, batch, 7.8, partial(run, mixture, dtype), "-"), True


def training(bench: Bench) -> Iterator[tuple[list[str], bool]]:
    """Lines of a training step of SuDoRM-RF, by Soloist and by a plain transcription; losses are compared."""
    torch.manual_seed(1)
    separator = sudormrf_design("improved", {"num_blocks": 1 if bench.small else 16}).build().train()
    batch, seconds = (1, 0.5) if bench.small else (4, 4.0)
    references = torch.randn(batch, 2, 1, round(seconds * separator.sample_rate))
    steps = {"Soloist's step": soloist_step, "plain step": plain_step}
    first = soloist_step(copy.deepcopy(separator))(references)
    for name, make in steps.items():
        step = make(copy.deepcopy(separator).to(bench.device))
        there = references.to(bench.device)
        relative = abs(step(there) / first - 1)
        told = f"{relative:.1e}"
        figures = line(bench, f"SuDoRM-RF, {name}", "float32", batch, seconds, partial(step, there), told)
        yield figures, relative <= 1e-3


def line(
    bench: Bench, name: str, precision: str, batch: int, seconds: float, run: Callable[[], object], told: str
) -> list[str]:
    """Cells of a line: the cost of a call with so many chunks of so many seconds."""
    memory = peak_tensor_memory(run, bench.device) / 1e6
    each = bench.time(run) / batch
    return [name, precision, str(batch), f"{1000 * each:.1f}", f"{seconds / each:.1f}", f"{memory:.0f}", told]


def all_lines(bench: Bench) -> Iterator[tuple[list[str], bool]]:
    """Lines of all systems, one after the other, as long as there is time."""
    original = make_original(bench.small)
    made: dict[str, Callable[[], Separator]] = {
        "HTDemucs": lambda: make_htdemucs(original, bench.small),
        "BS-RoFormer": lambda: from_recipe("tiny-bs-roformer" if bench.small else "bs-roformer-musdb18hq"),
        "Spleeter": lambda: make_spleeter(bench.small),
        "SuDoRM-RF": lambda: from_recipe("tiny-sudormrf" if bench.small else "sudormrf-wsj0-2mix"),
    }
    for name, make in made.items():
        yield from separating(bench, name, make())
        if name == "HTDemucs" and original is not None:
            yield from original_lines(bench, original)
        if name in ("HTDemucs", "Spleeter"):
            yield from recordings(bench, name, make())
    yield from training(bench)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny networks, one chunk, one run")
    parser.add_argument("--limit", type=float, default=480.0, help="seconds in all")
    options = parser.parse_args()
    if options.device == "cpu" and not options.small:
        raise SystemExit("this benchmark is for GPUs: --device cpu rehearses it, with --small")
    if options.device != "cpu" and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here: --device cpu --small rehearses this benchmark")
    bench = Bench(options.device, options.small, time.perf_counter() + options.limit)
    print(torch.cuda.get_device_name(bench.device) if bench.device != "cpu" else "rehearsal on the processor")
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
    wrong: list[str] = []
    for cells, fine in all_lines(bench):
        print(f"| {' | '.join(cells)} |", flush=True)
        if not fine:
            wrong.append(f"{cells[0]} in {cells[1]}: {cells[-1]}")
        if time.perf_counter() > bench.end:
            print(f"the rest was not measured: {options.limit:.0f} s are over")
            break
    if wrong:
        raise SystemExit(f"not equal to the CPU: {'; '.join(dict.fromkeys(wrong))}")


if __name__ == "__main__":
    main()
