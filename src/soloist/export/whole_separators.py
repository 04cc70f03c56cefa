"""Export of whole separators, from waveform to waveform, as TorchScript and by `torch.export`."""

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
    """Write a separator as a TorchScript file, traced with an example.

    Args:
        separator: Separator in eval mode, of which a copy is optimised.
        path: The file.
        batch: Batch size, if not free.
        length: Number of samples of the mixture, if not free; None for the separator's best chunk.
        free: Axes of any size; a trace does not tell if they work.

    Returns:
        Inputs and outputs.

    Raises:
        UsageError: The separator has no network, or clusters.
        ExportError: The separator cannot be traced.
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
        free: Axes of any size.

    Returns:
        Inputs and outputs.

    Raises:
        UsageError: The separator has no network, or clusters.
        ExportError: The separator cannot be exported with these axes free.
    """
    separator = _self_contained(separator)
    mixture = example_mixture(separator, batch, length, free)
    signature = signature_of([mixture], [separator(mixture)], free)
    program = capture(separator, [mixture], signature.inputs)
    with quiet(), explained("torch.export"):
        _save(partial(torch.export.save, program), path)
    return signature


def _save(write: Callable[[io.BytesIO], object], path: Path) -> None:
    """Write a file by way of memory: PyTorch ends the process if the disk is full."""
    buffer = io.BytesIO()
    write(buffer)
    path.write_bytes(buffer.getbuffer())


def _self_contained(separator: Separator) -> Separator:
    """Copy and optimise a separator without state.

    Raises:
        UsageError: The separator has no network, or finds clusters anew in each recording.
    """
    clusters = isinstance(separator, Following) and separator.follow() is not None
    if clusters and separator.partition is None:
        raise UsageError(
            f"{type(separator).__name__} finds clusters in each recording, which no graph can: "
            "export its network, to onnx or openvino"
        )
    return optimized(separator)
