"""Inputs and outputs of an exported graph: names, axes, free sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from soloist.errors import ExportError

FreeAxis = Literal["batch", "length"]
"""Axis of free size: the items of a batch, or the samples, frames or slices of each item."""

FREE: tuple[FreeAxis, ...] = ("batch", "length")


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        name: Name in the runtime.
        axes: Names of the axes.
        shape: Sizes of the axes; None for free sizes.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int | None, ...]

    @property
    def free(self) -> dict[int, str]:
        """Names of the free axes by index."""
        pairs = enumerate(zip(self.axes, self.shape, strict=True))
        return {index: axis for index, (axis, size) in pairs if size is None}


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a graph, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def is_free(self) -> bool:
        """True if an input has an axis of any size."""
        return any(port.free for port in self.inputs)


# By the number of axes of an input: name and axes of the input, and of its output.
_KINDS = {
    3: (
        ("mixture", ("batch", "channels", "samples")),
        ("estimates", ("batch", "sources", "channels", "samples")),
    ),
    4: (
        ("spectrogram", ("batch", "planes", "frequency", "frames")),
        ("output", ("batch", "planes", "frequency", "frames")),
    ),
    5: (
        ("magnitudes", ("batch", "channels", "frequency", "slices", "coefficients")),
        ("masks", ("batch", "sources", "channels", "frequency", "slices", "coefficients")),
    ),
}
_LENGTHS = ("samples", "frames", "slices")


def signature_of(inputs: Sequence[Tensor], outputs: Sequence[Tensor], free: Sequence[FreeAxis]) -> Signature:
    """The signature of a graph.

    Args:
        inputs: Example inputs.
        outputs: Outputs for the example inputs.
        free: Axes of any size.

    Raises:
        ExportError: An input is no waveform, spectrogram or block of coefficients.
    """
    for example in inputs:
        if example.ndim not in _KINDS:
            raise ExportError(f"inputs with {example.ndim} axes cannot be exported")

    def ports(tensors: Sequence[Tensor], side: int) -> tuple[Port, ...]:
        return tuple(
            _port(tensor, *_KINDS[example.ndim][side], index if len(tensors) > 1 else None, free)
            for index, (tensor, example) in enumerate(zip(tensors, inputs, strict=True))
        )

    return Signature(ports(inputs, 0), ports(outputs, 1))


def _port(
    tensor: Tensor, name: str, axes: tuple[str, ...], index: int | None, free: Sequence[FreeAxis]
) -> Port:
    loose = {axis for kind in free for axis in (("batch",) if kind == "batch" else _LENGTHS)}
    shape = tuple(None if axis in loose else size for axis, size in zip(axes, tensor.shape, strict=True))
    return Port(name if index is None else f"{name}{index}", axes, shape)


def numbered_signature(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Signature:
    """The signature of a graph of fixed shapes, whose inputs and outputs are known by their order."""

    def ports(tensors: Sequence[Tensor], name: str) -> tuple[Port, ...]:
        return tuple(
            Port(f"{name}{index}", tuple(map(str, range(tensor.ndim))), tuple(tensor.shape))
            for index, tensor in enumerate(tensors)
        )

    return Signature(ports(inputs, "input"), ports(outputs, "output"))
