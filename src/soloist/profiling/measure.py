"""Measuring what it costs to separate with a separator, and to train it."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from soloist.inference import Engine, find_device, make_engine
from soloist.inference.chunk_estimator import make_estimate
from soloist.profiling.operations import count_operations
from soloist.resources import TimedRuns, measure_time, peak_tensor_memory, within_memory
from soloist.separators import Chunking, Level, Separator, separate_blocks

LONGEST_TRAINED = 10.0
"""Seconds of the longest mixtures that training is measured on: no recipe draws longer ones."""

_LEVEL = 0.1
_SAMPLE_BYTES = 4


@dataclass(frozen=True)
class Case:
    """What is separated, and by what.

    Attributes:
        duration: Seconds of a mixture.
        batch: Mixtures that are separated at once.
        device: What is computed on.
        engine: What runs the separator.
    """

    duration: float
    batch: int = 1
    device: str = "cpu"
    engine: str = "torch"

    def __str__(self) -> str:
        return f"{self.duration:g} s, batch {self.batch}, {self.engine} on {self.device}"


@dataclass(frozen=True)
class Separating:
    """What separating costs.

    Attributes:
        operations: FLOPs for a second of audio; None where nothing is computed that is counted.
        memory: The most bytes that weights, mixtures and all intermediates take at once; None for engines
            other than PyTorch, into which nobody sees.
        time: Seconds that a batch takes.
    """

    operations: float | None
    memory: int | None
    time: TimedRuns


@dataclass(frozen=True)
class Training:
    """What the gradients cost of a step of training, without the optimizer.

    Attributes:
        memory: The most bytes that weights, gradients, mixtures and all intermediates take at once, forward
            and backward.
        backward: Seconds of the way back.
    """

    memory: int
    backward: TimedRuns


def measure_separating(separator: Separator, case: Case, *, budget: float = 2.0) -> Separating:
    """Measure separating as inference does it, without files.

    The separator is run by the engine, folded and fused. What is longer than a chunk is cut into chunks that
    overlap and glued again, as in recordings, and what is glued is let go; then the memory hardly grows with
    the duration, and the operations are those of all chunks; PyTorch's, for every engine. The mixture is
    noise.

    Args:
        separator: What separates.
        case: What is separated, by what.
        budget: Seconds for the timing.

    Raises:
        UsageError: The device or the engine is not there.
        OutOfMemoryError: The memory does not suffice.
    """
    engine = make_engine(case.engine, separator, case.device)
    run = partial(_separate, separator, engine)
    seen = case.engine == "torch"
    counted = engine if seen else make_engine("torch", separator, case.device)
    with within_memory(f"at {case}"):
        mixture = make_noise(separator, case)
        operations, memory = _count(partial(_separate, separator, counted, mixture), counted.device)
        time = measure_time(run, lambda: mixture, budget=budget)
    seconds = case.duration * case.batch
    return Separating(operations / seconds if operations else None, memory if seen else None, time)


def measure_training(separator: Separator, case: Case, *, budget: float = 2.0) -> Training | None:
    """Measure a step of training: forward on whole mixtures, as training draws them, and backward.

    The loss is the mean square of the estimates; of the embeddings where a separator clusters them. Wiener
    filters, which training leaves out, are left out.

    Args:
        separator: What is trained; a copy is.
        case: What it is trained on.
        budget: Seconds for the timing.

    Returns:
        None where there is nothing to train, for mixtures of more than `LONGEST_TRAINED`, and for engines
        other than PyTorch, which do not train.

    Raises:
        UsageError: The device is not there.
        OutOfMemoryError: The memory does not suffice.
    """
    trainable = any(parameter.requires_grad for parameter in separator.parameters())
    if not trainable or case.duration > LONGEST_TRAINED or case.engine != "torch":
        return None
    device = find_device(case.device)
    with within_memory(f"at {case}"):
        trained = copy.deepcopy(separator).train().to(device)
        mixture = make_noise(separator, case).to(device)

        def forward() -> Tensor:
            trained.zero_grad(set_to_none=True)
            prediction = trained.predict(mixture)
            output = prediction.estimates if prediction.embeddings is None else prediction.embeddings
            blocks = output if isinstance(output, list) else [output]
            return torch.stack([block.square().mean() for block in blocks]).mean()

        memory = peak_tensor_memory(lambda: forward().backward(), device)
        backward = measure_time(Tensor.backward, forward, budget=budget, wait=partial(_wait, device))
    return Training(memory, backward)


def separate_once(separator: Separator, case: Case) -> None:
    """Separate as `measure_separating` does, once.

    Raises:
        UsageError: The device or the engine is not there.
        OutOfMemoryError: The memory does not suffice.
    """
    with within_memory(f"at {case}"):
        _separate(separator, make_engine(case.engine, separator, case.device), make_noise(separator, case))


def make_noise(separator: Separator, case: Case) -> Tensor:
    """White noise that is the same at each call, `(batch, channels, samples)`.

    Raises:
        MemoryError: No address space has room for it.
    """
    length = case.duration * separator.sample_rate
    if length * case.batch * separator.channels * _SAMPLE_BYTES > sys.maxsize:
        raise MemoryError
    samples = max(1, round(length))
    generator = torch.Generator().manual_seed(0)
    return _LEVEL * torch.randn(case.batch, separator.channels, samples, generator=generator)


def _separate(separator: Separator, engine: Engine, mixture: Tensor) -> None:
    level = Level.of(mixture) if separator.normalization == "track" else None
    estimate = make_estimate(separator, engine, level)
    chunking = Chunking.of(separator)
    for _ in separate_blocks(estimate, [mixture], chunking, ordered=separator.ordered):
        pass


def _count(call: Callable[[], object], device: str) -> tuple[int, int]:
    """Operations and peak memory of one run."""
    memory = 0

    def observed() -> None:
        nonlocal memory
        memory = peak_tensor_memory(call, device)

    return count_operations(observed), memory


def _wait(device: str) -> None:
    """Return when a device is done; what runs on the CPU is."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()
