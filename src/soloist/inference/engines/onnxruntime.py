"""ONNX Runtime: runs graphs on any processor."""

from __future__ import annotations

from typing import Any

from soloist.inference.engines.graph_engines import Arrays, GraphEngine, Run
from soloist.resources import import_extra
from soloist.separators import Separator


class OnnxRuntimeEngine(GraphEngine):
    """Runs a separator's graph with ONNX Runtime on the CPU, in single precision; see `GraphEngine`."""

    name = "onnxruntime"

    def __init__(self, separator: Separator, threads: int | None = None) -> None:
        self._runtime: Any = import_extra("onnxruntime", "onnxruntime")
        super().__init__(separator, threads)

    def compile(self, graph: bytes, inputs: Arrays) -> Run:
        """Make a session for a graph.

        Raises:
            RuntimeError: ONNX Runtime does not know what is in the graph.
        """
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        # Its threads would go on spinning while PyTorch's compute what is around the graph.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            session = self._runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # Its own errors have no other class in common.
            raise RuntimeError(str(error)) from error
        names = [port.name for port in session.get_inputs()]

        def run(arrays: Arrays) -> Any:
            return session.run(None, dict(zip(names, arrays, strict=True)))

        return run
