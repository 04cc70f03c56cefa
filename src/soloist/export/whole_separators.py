"""Whole separators, from waveform to waveform, as TorchScript and as a program of `torch.export`."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from soloist.errors import UsageError
from soloist.inference.graphs.capture import capture, example_mixture, explained, optimized, quiet
from soloist.inference.graphs.signature import FREE, FreeAxis, Signature, signature_of
from soloist.separators import Following, Separator


@torch.no_grad()
def to_torchscript(
    separator: Separator,
    path: Path,
    *,
    batch: int = 1,
    length: int | None = None,
    free: Sequence[FreeAxis] = FREE,
) -> Signature:
    """Write a separator as a TorchScript file: the trace of what it does with an example.

    Args:
        separator: In eval mode. It is copied, and the copy optimised.
        path: The file.
        batch: Items of a batch, if their number is not free.
        length: Samples of the mixture, if their number is not free; None for the separator's best chunk.
        free: The axes that shall be of any size. A trace does not say whether they are.

    Returns:
        What it is given and what it returns.

    Raises:
        UsageError: The separator has no network, or clusters.
        ExportError: It cannot be traced.
    """
    separator = _self_contained(separator)
    mixture = example_mixture(separator, batch, length, free)
    with quiet(), explained("TorchScript"):
        traced = torch.jit.trace(separator, (mixture,), check_trace=False)
        signature = signature_of([mixture], [traced(mixture)], free)
        _save(partial(torch.jit.save, traced), path)
    return signature


@torch.no_grad()
def to_torch_export(
    separator: Separator,
    path: Path,
    *,
    batch: int = 1,
    length: int | None = None,
    free: Sequence[FreeAxis] = FREE,
) -> Signature:
    """Write a separator as a program of `torch.export`.

    Args:
        separator: See `to_torchscript`.
        path: The `.pt2` file.
        batch: See `to_torchscript`.
        length: See `to_torchscript`.
        free: The axes of any size.

    Returns:
        What it is given and what it returns.

    Raises:
        UsageError: The separator has no network, or clusters.
        ExportError: It cannot be written down with these axes free.
    """
    separator = _self_contained(separator)
    mixture = example_mixture(separator, batch, length, free)
    signature = signature_of([mixture], [separator(mixture)], free)
    program = capture(separator, [mixture], signature.inputs)
    with quiet(), explained("torch.export"):
        _save(partial(torch.export.save, program), path)
    return signature


def _save(write: Callable[[io.BytesIO], object], path: Path) -> None:
    """Write a file by way of memory: where there is no room on a disk, PyTorch would end the process."""
    buffer = io.BytesIO()
    write(buffer)
    path.write_bytes(buffer.getbuffer())


def _self_contained(separator: Separator) -> Separator:
    """An optimised copy of a separator that does the same with every mixture, and remembers nothing.

    Raises:
        UsageError: It has no network, or finds clusters anew in each recording.
    """
    if isinstance(separator, Following) and separator.follow() is not None:
        raise UsageError(
            f"{type(separator).__name__} finds clusters in each recording, which no graph can: "
            "export its network, to onnx or openvino"
        )
    return optimized(separator)
