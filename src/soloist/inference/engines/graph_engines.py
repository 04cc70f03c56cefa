"""Engines that run a separator's graph outside PyTorch: OpenVINO, ONNX Runtime."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soloist.errors import ExportError, SoloistError, UsageError, one_line
from soloist.inference.engines.engine import Estimate
from soloist.inference.engines.graph_cache import cached_graph, fingerprint, is_cached
from soloist.inference.engines.precision import Precision, check_precision
from soloist.inference.graphs.formats import to_onnx, write_onnx
from soloist.resources import OnnxSession, import_extra
from soloist.separators import Finish, Following, Note, Separator

Arrays = Sequence[NDArray[np.float32]]
Run = Callable[[Arrays], list[NDArray[np.float32]]]
"""A compiled graph: inputs to outputs, which the caller owns."""

_COMPILED = 4


class GraphEngine:
    """Runs a separator's `graph` compiled for a CPU, and everything around it (`stage`) in PyTorch.

    A graph is compiled for each shape of its inputs: a recording has one for its chunks, and another for its
    last chunk. The most recently used few are kept.

    Args:
        separator: The separator, in eval mode.
        threads: Processor threads; None for those of PyTorch.
        precision: Precision of the network, one of `PRECISIONS`.

    Raises:
        UsageError: The separator has no graph, the engine is not installed, or it or the processor does not
            have the precision.
    """

    name: str
    precision: str
    precisions: tuple[Precision, ...] = ("float32",)
    batch_limit: int | None = None

    def __init__(self, separator: Separator, threads: int | None = None, precision: str = "float32") -> None:
        check_precision(precision, "cpu")
        if precision not in self.precisions:
            raise UsageError(f"{self.name} computes in float32 only: take --engine torch for {precision}")
        if separator.graph is None:
            raise UsageError(
                f"{type(separator).__name__} has no network that {self.name} could run: take --engine torch"
            )
        self.device, self.precision = "cpu", precision
        self.threads = threads or torch.get_num_threads()
        self._separator = copy.deepcopy(separator).eval().requires_grad_(False)
        self._fingerprint = fingerprint(self._separator)
        self._any_size = True
        self._turn = threading.Lock()
        self._compiled: OrderedDict[tuple[tuple[int, ...], ...], Run] = OrderedDict()

    @property
    def is_exported(self) -> bool:
        """True if the graph for all sizes is in the cache."""
        return is_cached(self._fingerprint)

    def compile(self, graph: bytes, inputs: Arrays) -> Run:
        """Compile a graph.

        Args:
            graph: Content of an ONNX file.
            inputs: Arrays of the shapes to compile for.

        Raises:
            RuntimeError: The engine does not support the graph.
        """
        raise NotImplementedError

    @torch.inference_mode()
    def __call__(self, mixture: Tensor) -> Tensor:
        """Estimate `(batch, sources, channels, samples)` from chunks `(batch, channels, samples)`."""
        with self._turn:
            return self._separator.estimate_any_length(mixture, self._estimate)

    def follow(self, note: Note | None = None) -> Estimate | None:
        """Estimator of consecutive chunks of one recording; None for a separator without memory."""
        separator = self._separator
        follower = separator.follow(note) if isinstance(separator, Following) else None
        if follower is None:
            return None

        @torch.inference_mode()
        def estimate(mixture: Tensor) -> Tensor:
            with self._turn:
                return self._run_staged(*follower.stage(mixture))

        return estimate

    def _estimate(self, mixture: Tensor) -> Tensor:
        return self._run_staged(*self._separator.stage(mixture))

    def _run_staged(self, inputs: tuple[Tensor, ...], finish: Finish) -> Tensor:
        arrays = [tensor.contiguous().numpy() for tensor in inputs]
        outputs = self._compiled_for(arrays)(arrays)
        return finish([torch.from_numpy(output) for output in outputs])

    def _compiled_for(self, inputs: Arrays) -> Run:
        shapes = tuple(array.shape for array in inputs)
        if shapes not in self._compiled:
            # The exporter does not support tensors of the inference mode.
            with torch.inference_mode(False):
                self._compiled[shapes] = self._compile_any_size(inputs) or self._compile_fixed(inputs, shapes)
        self._compiled.move_to_end(shapes)
        if len(self._compiled) > _COMPILED:
            self._compiled.popitem(last=False)
        return self._compiled[shapes]

    def _compile_any_size(self, inputs: Arrays) -> Run | None:
        """Compile the graph for all sizes; None if it cannot be exported or compiled."""
        if self._any_size:
            try:
                return self.compile(
                    cached_graph(self._fingerprint, partial(to_onnx, self._separator)), inputs
                )
            except (ExportError, RuntimeError):
                self._any_size = False
        return None

    def _compile_fixed(self, inputs: Arrays, shapes: tuple[tuple[int, ...], ...]) -> Run:
        """Compile a graph for these sizes alone."""
        graph = copy.deepcopy(self._separator).optimize().graph
        assert graph is not None
        tensors = [torch.from_numpy(array) for array in inputs]
        key = fingerprint(self._separator, shapes)
        try:
            return self.compile(cached_graph(key, partial(write_onnx, graph, tensors)), inputs)
        except (ExportError, RuntimeError) as error:
            raise SoloistError(
                f"{self.name} cannot run this {type(self._separator).__name__}: take --engine torch "
                f"({one_line(error)})"
            ) from error


class OpenVINOEngine(GraphEngine):
    """Runs a separator's graph with OpenVINO on the CPU; see `GraphEngine`."""

    name = "openvino"
    precisions = ("float32", "bfloat16")

    def __init__(self, separator: Separator, threads: int | None = None, precision: str = "float32") -> None:
        self._core: Any = import_extra("openvino", "openvino").Core()
        super().__init__(separator, threads, precision)

    def compile(self, graph: bytes, inputs: Arrays) -> Run:
        """Compile a graph for inputs of these shapes."""
        model = self._core.read_model(graph)
        model.reshape({port: list(array.shape) for port, array in zip(model.inputs, inputs, strict=True)})
        compiled = self._core.compile_model(model, "CPU", self._settings())
        request, outputs = compiled.create_infer_request(), compiled.outputs

        def run(arrays: Arrays) -> Any:
            # The next run would overwrite shared outputs.
            results = request.infer(list(arrays), share_inputs=True, share_outputs=False)
            return [results[port] for port in outputs]

        return run

    def _settings(self) -> dict[str, Any]:
        return {
            "INFERENCE_NUM_THREADS": self.threads,
            "PERFORMANCE_HINT": "LATENCY",
            # The default of newer processors is bfloat16.
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bfloat16" else "f32",
        }


class OnnxRuntimeEngine(GraphEngine):
    """Runs a separator's graph with ONNX Runtime on the CPU, in single precision; see `GraphEngine`."""

    name = "onnxruntime"

    def __init__(self, separator: Separator, threads: int | None = None, precision: str = "float32") -> None:
        import_extra("onnxruntime", "onnxruntime")
        super().__init__(separator, threads, precision)

    def compile(self, graph: bytes, inputs: Arrays) -> Run:
        """Make a session for a graph.

        Raises:
            RuntimeError: ONNX Runtime does not support the graph.
        """
        return OnnxSession(graph, self.threads)
