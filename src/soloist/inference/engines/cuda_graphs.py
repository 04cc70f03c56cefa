"""PyTorch with the network as CUDA graphs: its kernels are launched at once, for chunks of a fixed shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from soloist.errors import SoloistError, UsageError, one_line
from soloist.inference.engines.pytorch import TorchEngine
from soloist.resources import is_gpu
from soloist.separators import Finish, Separator

Network = Callable[..., list[Tensor]]
Record = Callable[[Callable[[], list[Tensor]]], tuple[list[Tensor], Callable[[], None]]]
"""Records a call: its outputs, and a function that computes them again, in place, from the same inputs."""

_KEPT = 4
"""Most shapes of inputs that are recorded: batches, last batches, and those of two files."""

_WARM_UP = 3
"""Calls before a recording, in which libraries choose their algorithms."""


class FixedShapes:
    """A network that is recorded for each shape of its inputs, and replayed from then on.

    Args:
        network: The network, from tensors to a list of tensors.
        record: Records a call of it.
    """

    def __init__(self, network: Network, record: Record) -> None:
        self._network, self._record = network, record
        self._replays: OrderedDict[tuple[torch.Size, ...], Network] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Outputs of the network, which the caller owns."""
        shapes = tuple(each.shape for each in inputs)
        if shapes not in self._replays:
            if len(self._replays) == _KEPT:
                # Its memory is free for that of the new one.
                self._replays.popitem(last=False)
            self._replays[shapes] = self._recorded(inputs)
        self._replays.move_to_end(shapes)
        return self._replays[shapes](*inputs)

    def _recorded(self, inputs: Sequence[Tensor]) -> Network:
        held = [each.clone() for each in inputs]
        outputs, replay = self._record(lambda: self._network(*held))

        def run(*given: Tensor) -> list[Tensor]:
            for there, new in zip(held, given, strict=True):
                there.copy_(new)
            replay()
            # The next replay writes into the same memory.
            return [each.clone() for each in outputs]

        return run


class CudaGraphEngine(TorchEngine):
    """Runs a separator's `graph` as CUDA graphs, and everything around it as `TorchEngine` does.

    Args:
        separator: The separator.
        device: "auto", "cuda", "cuda:1".
        precision: Precision of the network, one of `PRECISIONS`.

    Raises:
        UsageError: The device is no GPU with CUDA, or the separator has no graph.
    """

    name = "cudagraph"

    def __init__(self, separator: Separator, device: str = "auto", precision: str = "float32") -> None:
        super().__init__(separator, device, precision)
        if not is_gpu(self.device):
            raise UsageError(f"the engine cudagraph is for GPUs with CUDA, not for {self.device}: take torch")
        network = self._separator.graph
        if network is None:
            raise UsageError(f"{type(separator).__name__} has no network to record: take --engine torch")
        self._network = FixedShapes(
            lambda *inputs: self._separator.run_network(network, *inputs), self._record
        )

    def _estimate(self, mixture: Tensor) -> Tensor:
        return self._run_staged(*self._separator.stage(mixture))

    def _run_staged(self, inputs: tuple[Tensor, ...], finish: Finish) -> Tensor:
        return finish(self._network(*inputs))

    def _record(self, call: Callable[[], list[Tensor]]) -> tuple[list[Tensor], Callable[[], None]]:
        """Record a call as PyTorch's documentation of CUDA graphs describes."""
        with torch.cuda.device(self.device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP):
                    call()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            try:
                # Other threads may use the GPU for something else meanwhile.
                with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                    outputs = call()
            except torch.cuda.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise SoloistError(
                    f"CUDA cannot record this network: take --engine torch ({one_line(error)})"
                ) from error
        return outputs, graph.replay
