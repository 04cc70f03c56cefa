"""Benchmark of the installed engines with a model: threads, batch sizes, time, memory, difference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from soloist.datasets import synthesize_band
from soloist.errors import SoloistError, UsageError, one_line
from soloist.inference.calibration import FLOOR, Calibration, Trial, save_calibration
from soloist.inference.engine_selection import AUTO
from soloist.inference.engines import (
    Engine,
    Estimate,
    find_device,
    installed_engines,
    make_engine,
    precisions_of,
)
from soloist.inference.engines.precision import check_precision
from soloist.resources import Processes, is_gpu, measure_time, peak_memory, resident_memory
from soloist.separators import Chunking, Level, Separator
from soloist.separators.chunk_estimator import make_estimate
from soloist.zoo import load
from soloist.zoo.cards import is_known, own_name
from soloist.zoo.speeds import save_speed

T = TypeVar("T")

BATCH_SIZES = (1, 4)
BATCH_SIZES_OF_A_GPU = (1, 4, 16)

_LEVEL = 0.1


@dataclass(frozen=True)
class _Attempt:
    """Trials of an engine with a precision, and its estimates `(1, sources, channels, samples)`.

    Attributes:
        trials: The trials.
        estimates: Those of the chunk of noise.
        of_music: Those of the chunk of music.
    """

    trials: tuple[Trial, ...]
    estimates: Tensor
    of_music: Tensor


def tune(
    model: str,
    *,
    threads: int | None = None,
    budget: float = 1.0,
    notify: Callable[[str], None] = lambda engine: None,
    precision: str = AUTO,
    device: str = AUTO,
) -> Calibration:
    """Measure the installed engines with a model, and store the result for `soloist separate`.

    Each engine separates noise, in a process of its own for each precision. The difference that a lower
    precision makes is measured with a band.

    Args:
        model: Name in the zoo or path of a model folder.
        threads: Most processor threads; None for those of PyTorch.
        budget: Seconds for each figure.
        notify: Callback that receives the name of the engine and the precision to be measured.
        precision: The only one of `PRECISIONS` to measure beside float32; "auto" for all of the device.
        device: "cpu" or a GPU with CUDA; "auto" for the GPU if there is one.

    Raises:
        ModelError: The model is unknown or damaged.
        UsageError: The model has no graph, the budget is not positive, or there is no such precision or
            device.
        SoloistError: PyTorch could not be measured.
    """
    if not budget > 0:
        raise UsageError(f"the time for a figure must be more than 0 s, not {budget:g}")
    device = _find_device(device)
    if precision != AUTO:
        check_precision(precision, device)
    separator = load(model)
    if separator.graph is None:
        raise UsageError(f"{model} has no network that other engines could run: there is nothing to tune")
    most = threads or torch.get_num_threads()
    notify("graphs")
    failures = export_graphs(model) if device == "cpu" else {}
    attempts = _measure_engines(model, device, most, budget, notify, failures, precision)
    trials = list(_compared(attempts, _music(separator)))
    reasons = tuple(f"{engine}: {reason}" for engine, reason in failures.items())
    calibration = Calibration(tuple(trials), reasons)
    save_calibration(separator, calibration, device)
    if is_known(model):
        seconds = Chunking.of(separator).step / separator.sample_rate
        save_speed(own_name(model), seconds / calibration.fastest().chunk)
    return calibration


def _find_device(name: str) -> str:
    found = find_device(name)
    if name == AUTO:
        return found if is_gpu(found) else "cpu"
    if found != "cpu" and not is_gpu(found):
        raise UsageError(f"engines are measured on the cpu and on GPUs with CUDA, not on {name}")
    return found


def _measure_engines(
    model: str,
    device: str,
    most: int,
    budget: float,
    notify: Callable[[str], None],
    failures: dict[str, str],
    wanted: str,
) -> dict[tuple[str, str], _Attempt]:
    """Measure each engine with each precision in a process of its own, and add new failures."""
    attempts: dict[tuple[str, str], _Attempt] = {}
    for engine in (name for name in installed_engines(device) if name not in failures):
        # Any other precision is compared with float32.
        for precision in precisions_of(engine, device):
            if wanted not in (AUTO, precision) and precision != "float32":
                continue
            what = engine if precision == "float32" else f"{engine} in {precision}"
            notify(what)
            try:
                attempts[engine, precision] = _in_process(
                    _measure, model, engine, precision, device, most, budget
                )
            except Exception as error:  # Engines have exceptions of all kinds.
                if what == "torch":
                    raise
                failures[what] = one_line(error) or type(error).__name__
                break
    return attempts


def _compared(attempts: dict[tuple[str, str], _Attempt], music: Tensor) -> Iterator[Trial]:
    """Trials with their differences from float32, by PyTorch and by the same engine."""
    expected = attempts["torch", "float32"].estimates
    for (engine, precision), attempt in attempts.items():
        difference, deviation = _difference(attempt.estimates, expected), FLOOR
        if precision != "float32":
            exact = attempts[engine, "float32"].of_music
            deviation = _level(attempt.of_music - exact, music)
        for trial in attempt.trials:
            yield replace(trial, difference=difference, deviation=deviation)


def noise_chunk(channels: int, samples: int) -> Tensor:
    """Reproducible noise `(1, channels, samples)`."""
    return _LEVEL * torch.randn(1, channels, samples, generator=torch.Generator().manual_seed(0))


def estimate_of(separator: Separator, engine: Engine, chunk: Tensor) -> Estimate:
    """Estimator of chunks like the given one `(1, channels, samples)`."""
    following = engine.follow()
    return make_estimate(separator, following or engine, Level.of(chunk), follows=following is not None)


def time_resize(engine: Engine, separator: Separator, samples: int, chunk: float) -> float:
    """Seconds until an engine is ready for chunks of another length; 0 for PyTorch.

    Args:
        engine: Runs the separator.
        separator: The separator.
        samples: Length of the chunks that the engine is ready for.
        chunk: Seconds of such a chunk.
    """
    if engine.name == "torch":
        return 0.0
    fewer = samples - separator.stride
    other = noise_chunk(
        separator.channels, fewer if fewer >= separator.minimum_length else samples + separator.stride
    )
    begun = time.perf_counter()
    engine(other)
    return max(0.0, time.perf_counter() - begun - chunk)


def export_graphs(model: str) -> dict[str, str]:
    """Export a model's graphs for all engines into the cache, in another process.

    Exporting takes memory that a separation by a cached graph does not.

    Returns:
        The reason for each engine that cannot run the model.

    Raises:
        ModelError: The model is unknown or damaged.
    """
    return _in_process(_export, model)


def _music(separator: Separator) -> Tensor:
    """A band `(1, channels, samples)` for a chunk, the excerpt that precisions are compared with."""
    samples, rate = Chunking.of(separator).input_length, separator.sample_rate
    stems = synthesize_band(samples / rate, sample_rate=rate, seed=0)
    mixture = torch.from_numpy(sum(stems.values())).float()[:, :samples]
    channels = separator.channels
    mixture = mixture if channels == len(mixture) else mixture.mean(dim=0).expand(channels, -1)
    return pad(mixture, (0, samples - mixture.shape[-1]))[None].contiguous()


def _usual_chunk(separator: Separator) -> Tensor:
    return noise_chunk(separator.channels, Chunking.of(separator).input_length)


def _in_process(work: Callable[..., T], *arguments: object) -> T:
    with Processes(1) as pool:
        try:
            return pool.submit(work, *arguments).result()
        except BrokenProcessPool as error:
            raise SoloistError("the process was killed, as a rule for lack of memory") from error


def _export(model: str) -> dict[str, str]:
    """Export a model's graphs; return the reason for each engine that cannot run the model."""
    separator = load(model)
    failures: dict[str, str] = {}
    for engine in installed_engines():
        if engine == "torch":
            continue
        try:
            make_engine(engine, separator, "cpu")(_usual_chunk(separator))
        except Exception as error:  # Compilers of graphs have exceptions of all kinds.
            failures[engine] = one_line(error) or type(error).__name__
    return failures


def _measure(model: str, engine: str, precision: str, device: str, most: int, budget: float) -> _Attempt:
    """Trials of an engine with a precision, in the order of their memory."""
    separator = load(model)
    chunk, held = _usual_chunk(separator), None
    trials: list[Trial] = []
    batch_sizes = BATCH_SIZES_OF_A_GPU if is_gpu(device) else BATCH_SIZES
    for batch_size, threads in product(batch_sizes, _thread_counts(most, device)):
        torch.set_num_threads(threads)
        begun = time.perf_counter()
        running = make_engine(engine, separator, device, threads=threads, precision=precision)
        held = held or resident_memory()
        estimate = estimate_of(separator, running, chunk)
        batch = chunk.repeat(batch_size, 1, 1)
        estimate(batch)
        first = time.perf_counter() - begun
        seconds = measure_time(estimate, partial(_same, batch), budget=budget).median
        if not trials:
            estimates, resize = running(chunk), time_resize(running, separator, chunk.shape[-1], seconds)
        # Only the first trial includes loading the engine.
        start = max(0.0, first - seconds, *(trial.start for trial in trials[:1]))
        per_chunk, memory = seconds / batch_size, _grown(held)
        trials.append(Trial(engine, threads, batch_size, per_chunk, start, resize, memory, 0.0, precision))
    music = _music(separator)
    return _Attempt(tuple(trials), estimates, estimate_of(separator, running, music)(music))


def _grown(held: float | None) -> float | None:
    peak = peak_memory()
    return None if held is None or peak is None else max(0.0, peak - held)


def _same(batch: Tensor) -> Tensor:
    return batch


def _thread_counts(most: int, device: str) -> Sequence[int]:
    """All threads, and on a CPU half of them: some processors report two threads a core."""
    return [most, most // 2] if most >= 4 and device == "cpu" else [most]


def _level(difference: Tensor, mixture: Tensor) -> float:
    """Level of the loudest source's difference `(1, sources, ...)`, relative to the mixture, dB."""
    power = difference.flatten(2).square().sum(dim=(0, 2)).max() / mixture.square().sum()
    return float(10 * power.clamp(min=10 ** (FLOOR / 10)).log10())


def _difference(estimates: Tensor, expected: Tensor) -> float:
    peak = expected.abs().max().clamp(min=torch.finfo(expected.dtype).tiny)
    return float((estimates - expected).abs().max() / peak)
