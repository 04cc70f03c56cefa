"""Costs of separating with a separator, and of training it."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from soloist.errors import OutOfMemoryError
from soloist.inference import Engine, find_device, make_engine
from soloist.profiling.operations import count_operations
from soloist.resources import TimedRuns, measure_time, peak_tensor_memory, within_memory
from soloist.separators import Chunking, CompositeSeparator, Level, Separator, separate_blocks
from soloist.separators.chunk_estimator import make_estimate

LONGEST_TRAINED = 10.0
"""Longest mixtures on which training is measured, in s: no recipe draws longer ones."""

_LEVEL = 0.1
_SAMPLE_BYTES = 4


@dataclass(frozen=True)
class ProfileCase:
    """Mixtures, device and engine of a measurement.

    Attributes:
        duration: Duration of a mixture, in s.
        batch: Number of mixtures at once.
        device: Device of the computation.
        engine: Engine that runs the separator.
    """

    duration: float
    batch: int = 1
    device: str = "cpu"
    engine: str = "torch"

    def __str__(self) -> str:
        return f"{self.duration:g} s, batch {self.batch}, {self.engine} on {self.device}"


@dataclass(frozen=True)
class SeparationFigures:
    """Costs of separating.

    Attributes:
        operations: FLOPs for a second of audio; None if no operation is of a kind that is counted.
        memory: Peak number of bytes of weights, mixtures and all intermediates; None for engines other than
            PyTorch, whose memory is hidden.
        time: Seconds for a batch.
    """

    operations: float | None
    memory: int | None
    time: TimedRuns


@dataclass(frozen=True)
class TrainingFigures:
    """Costs of the gradients of a training step, without the optimizer.

    Attributes:
        memory: Peak number of bytes of weights, gradients, mixtures and all intermediates, forward and
            backward.
        backward: Seconds of the backward pass.
    """

    memory: int
    backward: TimedRuns


def measure_separating(separator: Separator, case: ProfileCase, *, budget: float = 2.0) -> SeparationFigures:
    """Measure separating as inference does it, without files.

    The engine runs the folded and fused separator. Mixtures longer than a chunk are cut into overlapping
    chunks and overlap-added, as recordings are, and the estimates are dropped block by block: the memory
    hardly grows with the duration, and the operations are those of all chunks. Operations are counted by
    PyTorch for every engine. The mixture is noise.

    Args:
        separator: The separator.
        case: Mixtures, device and engine.
        budget: Seconds for the timing.

    Raises:
        UsageError: The device or the engine is missing.
        OutOfMemoryError: The memory does not suffice.
    """
    engine = make_engine(case.engine, separator, case.device)
    run = partial(_separate, separator, engine)
    seen = case.engine == "torch"
    counted = engine if seen else make_engine("torch", separator, case.device)
    with _within_memory(case, counted, engine):
        mixture = make_noise(separator, case)
        operations, memory = _count(partial(_separate, separator, counted, mixture), counted.device)
        time = measure_time(run, lambda: mixture, budget=budget)
    seconds = case.duration * case.batch
    return SeparationFigures(operations / seconds if operations else None, memory if seen else None, time)


def measure_training(
    separator: Separator, case: ProfileCase, *, budget: float = 2.0
) -> TrainingFigures | None:
    """Measure a training step: forward on whole mixtures, as training draws them, and backward.

    The loss is the mean square of the estimates, or of the embeddings of a clustering separator. Wiener
    filters are left out, as in training.

    Args:
        separator: The separator, of which a copy is trained.
        case: Mixtures, device and engine.
        budget: Seconds for the timing.

    Returns:
        None for separators without trainable parameters, for ensembles and chains, for mixtures longer than
        `LONGEST_TRAINED`, and for engines other than PyTorch.

    Raises:
        UsageError: The device is missing.
        OutOfMemoryError: The memory does not suffice.
    """
    trainable = any(parameter.requires_grad for parameter in separator.parameters())
    # The parts of an ensemble or a chain are trained by themselves.
    trainable = trainable and not isinstance(separator, CompositeSeparator)
    if not trainable or case.duration > LONGEST_TRAINED or case.engine != "torch":
        return None
    device = find_device(case.device)
    with _within_memory(case):
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
    return TrainingFigures(memory, backward)


def separate_once(separator: Separator, case: ProfileCase) -> None:
    """Separate as `measure_separating` does, once.

    Raises:
        UsageError: The device or the engine is missing.
        OutOfMemoryError: The memory does not suffice.
    """
    engine = make_engine(case.engine, separator, case.device)
    with _within_memory(case, engine):
        _separate(separator, engine, make_noise(separator, case))


@contextmanager
def _within_memory(case: ProfileCase, *engines: Engine) -> Iterator[None]:
    """Refuse a case for which the memory does not suffice, or did so only for smaller batches."""
    try:
        with within_memory(f"at {case}"):
            yield
    except OutOfMemoryError as error:
        raise OutOfMemoryError(f"out of memory at {case}") from error
    if any(engine.batch_limit is not None for engine in engines):
        raise OutOfMemoryError(f"out of memory at {case}")


def make_noise(separator: Separator, case: ProfileCase) -> Tensor:
    """White noise `(batch, channels, samples)`, the same at each call.

    Raises:
        MemoryError: The noise is larger than the address space.
    """
    length = case.duration * separator.sample_rate
    if length * case.batch * separator.channels * _SAMPLE_BYTES > sys.maxsize:
        raise MemoryError
    samples = max(1, round(length))
    generator = torch.Generator().manual_seed(0)
    return _LEVEL * torch.randn(case.batch, separator.channels, samples, generator=generator)


def _separate(separator: Separator, engine: Engine, mixture: Tensor) -> None:
    level = Level.of(mixture) if separator.normalization == "track" else None
    following = engine.follow() if separator.partition else None
    estimate = make_estimate(separator, following or engine, level, follows=following is not None)
    chunking = Chunking.of(separator)
    for _ in separate_blocks(estimate, [mixture], chunking, ordered=separator.ordered):
        pass


def _count(call: Callable[[], object], device: str) -> tuple[int, int]:
    """Count operations and peak memory in one run."""
    memory = 0

    def observed() -> None:
        nonlocal memory
        memory = peak_tensor_memory(call, device)

    return count_operations(observed), memory


def _wait(device: str) -> None:
    """Wait until a device is idle."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()
