"""OpenVINO: compiles graphs for processors of Intel and others."""

from __future__ import annotations

from typing import Any

from soloist.inference.engines.graph_engines import Arrays, GraphEngine, Run
from soloist.resources import import_extra
from soloist.separators import Separator


class OpenVINOEngine(GraphEngine):
    """Runs a separator's graph with OpenVINO on the CPU, in single precision; see `GraphEngine`."""

    name = "openvino"

    def __init__(self, separator: Separator, threads: int | None = None) -> None:
        self._core: Any = import_extra("openvino", "openvino").Core()
        super().__init__(separator, threads)

    def compile(self, graph: bytes, inputs: Arrays) -> Run:
        """Compile a graph for inputs of these shapes."""
        model = self._core.read_model(graph)
        model.reshape({port: list(array.shape) for port, array in zip(model.inputs, inputs, strict=True)})
        compiled = self._core.compile_model(model, "CPU", self._settings())
        request, outputs = compiled.create_infer_request(), compiled.outputs

        def run(arrays: Arrays) -> Any:
            # Only the inputs are shared: the next run would overwrite the outputs.
            results = request.infer(list(arrays), share_inputs=True, share_outputs=False)
            return [results[port] for port in outputs]

        return run

    def _settings(self) -> dict[str, Any]:
        return {
            "INFERENCE_NUM_THREADS": self.threads,
            "PERFORMANCE_HINT": "LATENCY",
            # Newer processors would take bfloat16 by themselves.
            "INFERENCE_PRECISION_HINT": "f32",
        }
