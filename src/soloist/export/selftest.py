"""Self-test of an export: comparison of the exported file with the separator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from soloist.errors import ExportError, SoloistError
from soloist.export.export_formats import ExportFormat
from soloist.export.runtimes import Run, runtime_name
from soloist.inference.graphs.signature import FreeAxis
from soloist.separators import Separator

TOLERANCES = {"float32": 1e-4, "float16": 1e-2}
"""Largest difference, relative to the peak of an output, by the precision of the weights."""


@dataclass(frozen=True)
class SelfTest:
    """Result of a self-test.

    Attributes:
        runtime: Name and version of the runtime.
        difference: Largest difference, relative to the peak of the output.
        mixtures: Batch size and number of samples of each mixture.
        shortest: Number of samples of the shortest mixture.
    """

    runtime: str
    difference: float
    mixtures: tuple[tuple[int, int], ...]
    shortest: int


@torch.no_grad()
def selftest(
    separator: Separator,
    path: Path,
    form: ExportFormat,
    *,
    batch: int,
    length: int,
    free: Sequence[FreeAxis],
    tolerance: float,
) -> SelfTest:
    """Run an exported file on noise of three lengths and two batch sizes, as far as these are free.

    One length is longer than that of the traced example, and one is the shortest that the file takes.

    Args:
        separator: The exported separator, in eval mode.
        path: The file.
        form: Format of the file.
        batch: Batch size, if not free.
        length: Number of samples of a mixture.
        free: Axes of any size.
        tolerance: Largest difference, relative to the peak of an output.

    Raises:
        ExportError: The file does not run, or its output differs by more than the tolerance.
    """
    run = form.open(path)
    batches = (1, 3) if "batch" in free else (batch,)

    def compare(samples: int) -> float:
        return max(_difference(separator, run, form.whole, items, samples) for items in batches)

    lengths = [length]
    if "length" in free:
        # An odd length, which no grid of frames fits.
        shortest = _shortest(compare, separator.minimum_length, length, tolerance)
        lengths = [shortest, length, length * 3 // 2 | 1]
    difference = max(map(compare, lengths))
    if not difference <= tolerance:
        raise ExportError(f"the output of {form.runtime} differs by {difference:.1g} of the peak")
    mixtures = tuple(itertools.product(batches, lengths))
    return SelfTest(runtime_name(form.runtime), difference, mixtures, lengths[0])


def _shortest(compare: Callable[[int], float], least: int, length: int, tolerance: float) -> int:
    """Double `least` until the file is right for this length; return `length` at the latest."""
    while least < length:
        with suppress(ExportError):
            if compare(least) <= tolerance:
                return least
        least *= 2
    return length


def _difference(separator: Separator, run: Run, whole: bool, items: int, samples: int) -> float:
    """Largest difference of the outputs for a mixture from the separator's, relative to their peaks."""
    generator = torch.Generator().manual_seed(samples)
    mixture = 0.1 * torch.randn(items, separator.channels, samples, generator=generator)
    inputs, expected = _expected(separator, mixture, whole)
    try:
        outputs = run([tensor.contiguous().numpy() for tensor in inputs])
    except SoloistError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"it does not run on {items} x {samples} samples: {reason}") from error
    return max(_relative(torch.from_numpy(a), b) for a, b in zip(outputs, expected, strict=True))


def _expected(
    separator: Separator, mixture: Tensor, whole: bool
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Inputs of the file for a mixture, and the outputs it is to return."""
    if whole:
        return [mixture], [separator(mixture)]
    assert separator.graph is not None
    inputs, _ = separator.stage(mixture)
    outputs = separator.graph(*inputs)
    return inputs, [outputs] if isinstance(outputs, Tensor) else outputs


def _relative(output: Tensor, expected: Tensor) -> float:
    if output.shape != expected.shape:
        return math.inf
    difference = float((output - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    # max() may drop NaN.
    return math.inf if math.isnan(difference) else difference
