"""Running an exported file, and comparing what it computes with the separator."""

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
from soloist.export.export_formats import Format
from soloist.export.runtimes import Run, runtime_name
from soloist.inference.graphs.signature import FreeAxis
from soloist.separators import Separator

TOLERANCE = 1e-4
"""Of the peak of an output."""


@dataclass(frozen=True)
class Check:
    """What a comparison gave.

    Attributes:
        runtime: What ran the file.
        difference: The largest difference, relative to the peak of the output.
        mixtures: Items and samples of each mixture that it was compared on.
        shortest: Samples of the shortest of these.
    """

    runtime: str
    difference: float
    mixtures: tuple[tuple[int, int], ...]
    shortest: int


@torch.no_grad()
def check(
    separator: Separator, path: Path, form: Format, *, batch: int, length: int, free: Sequence[FreeAxis]
) -> Check:
    """Run an exported file on noise: in three lengths and in batches of two sizes, where these are free.

    One of the lengths is longer than that of the example that the file was made by, and one the shortest that
    it takes.

    Args:
        separator: What it was made from, in eval mode.
        path: The file.
        form: Its format.
        batch: Items of a batch, if their number is not free.
        length: Samples of a mixture.
        free: The axes of any size.

    Raises:
        ExportError: It does not run, or its output differs by more than `TOLERANCE`.
    """
    run = form.open(path)
    batches = (1, 3) if "batch" in free else (batch,)

    def compare(samples: int) -> float:
        return max(_difference(separator, run, form.whole, items, samples) for items in batches)

    lengths = [length]
    if "length" in free:
        # An odd length, which no grid of frames fits.
        lengths = [_shortest(compare, separator.minimum_length, length), length, length * 3 // 2 | 1]
    difference = max(map(compare, lengths))
    if not difference <= TOLERANCE:
        raise ExportError(f"what {form.runtime} computes differs by {difference:.1g} of the peak")
    mixtures = tuple(itertools.product(batches, lengths))
    return Check(runtime_name(form.runtime), difference, mixtures, lengths[0])


def _shortest(compare: Callable[[int], float], least: int, length: int) -> int:
    """The first of a length, twice that, and so on, that a file is right for; at most another length."""
    while least < length:
        with suppress(ExportError):
            if compare(least) <= TOLERANCE:
                return least
        least *= 2
    return length


def _difference(separator: Separator, run: Run, whole: bool, items: int, samples: int) -> float:
    """How far the outputs for one mixture are from the separator's, relative to their peaks."""
    generator = torch.Generator().manual_seed(samples)
    mixture = 0.1 * torch.randn(items, separator.channels, samples, generator=generator)
    inputs, expected = _what_is_right(separator, mixture, whole)
    try:
        outputs = run([tensor.contiguous().numpy() for tensor in inputs])
    except SoloistError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"it does not run on {items} x {samples} samples: {reason}") from error
    return max(_relative(torch.from_numpy(a), b) for a, b in zip(outputs, expected, strict=True))


def _what_is_right(
    separator: Separator, mixture: Tensor, whole: bool
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """What the file is given for a mixture, and what it is to return."""
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
    # What is not a number would not be the largest difference.
    return math.inf if math.isnan(difference) else difference
