"""Memory use: the process with one chunk, and the chunks that a batch has beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from soloist.errors import OutOfMemoryError
from soloist.inference.engines import Engine, GraphEngine
from soloist.resources import available_gpu_memory, available_memory, is_gpu, peak_tensor_memory

WAY_OUT = "take a shorter --chunk or a smaller --batch-size"
"""Advice for a separation that runs out of memory."""

_BESIDE_TENSORS, _BESIDE_GPU = 1.25, 3.0
"""Memory of the process as a multiple of a chunk's tensors, or of a chunk and its estimates on a GPU."""


@dataclass(frozen=True)
class MemoryUse:
    """Memory in MB (10^6 bytes).

    Attributes:
        process: Memory of the process; None if the system does not say.
        gpu: Memory of the GPU; None for other devices.
    """

    process: float | None
    gpu: float | None

    @classmethod
    def available(cls, device: str) -> MemoryUse:
        """Memory that this process may hold."""
        return cls(available_memory(), available_gpu_memory(device))

    def check(self, available: MemoryUse) -> None:
        """Refuse to begin what the memory does not suffice for.

        Raises:
            OutOfMemoryError: Says how much is needed and how much there is.
        """
        kinds = (("memory", self.process, available.process), ("GPU memory", self.gpu, available.gpu))
        for name, needed, there in kinds:
            if needed is not None and there is not None and needed > there:
                figures = f"about {needed:.0f} MB of {name}, and {there:.0f} MB are there"
                raise OutOfMemoryError(f"separating takes {figures}: {WAY_OUT}")


def chunk_memory(engine: Engine, chunk: Tensor, grown: float) -> float:
    """Memory for one more chunk `(1, channels, samples)` at once, MB; the first one took `grown`."""
    if isinstance(engine, GraphEngine):
        # An upper bound: the compiled graph is in it.
        return grown
    if is_gpu(engine.device):
        return _BESIDE_GPU * (chunk.nbytes + engine(chunk).nbytes) / 1e6
    return _BESIDE_TENSORS * peak_tensor_memory(partial(engine, chunk)) / 1e6
