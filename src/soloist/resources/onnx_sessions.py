"""Sessions of ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soloist.resources.extras import import_extra

Arrays = Sequence[NDArray[np.float32]]


class OnnxSession:
    """Graph of an ONNX file, ready to be run on the CPU, in single precision.

    Args:
        graph: Content of the file.
        threads: Processor threads.
        extra: Soloist's extra that installs ONNX Runtime for the caller's purpose.

    Attributes:
        shapes: Sizes of each input, with None for free ones.

    Raises:
        UsageError: ONNX Runtime is not installed.
        RuntimeError: ONNX Runtime does not support the graph.
    """

    def __init__(self, graph: bytes, threads: int, extra: str = "onnxruntime") -> None:
        runtime = import_extra("onnxruntime", extra)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        # Spinning threads would take the processor from PyTorch's, which compute everything around the graph.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = _explained(
            lambda: runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        )
        self._names = [port.name for port in self._session.get_inputs()]
        self.shapes = [
            tuple(size if isinstance(size, int) else None for size in port.shape)
            for port in self._session.get_inputs()
        ]

    def __call__(self, arrays: Arrays) -> list[NDArray[np.float32]]:
        """Run the graph.

        Args:
            arrays: Inputs, in the order of the graph.

        Returns:
            Outputs, which the caller owns.

        Raises:
            RuntimeError: The graph does not take inputs of these shapes.
        """
        inputs = dict(zip(self._names, arrays, strict=True))
        outputs: list[NDArray[np.float32]] = _explained(lambda: self._session.run(None, inputs))
        return outputs


def _explained(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # The common base class of ONNX Runtime's errors.
        raise RuntimeError(str(error)) from error
