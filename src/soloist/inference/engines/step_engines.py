"""Engines of the steps of causal separators: PyTorch, and ONNX Runtime as an extra."""

from __future__ import annotations

import threading
from functools import partial

from soloist.errors import ExportError
from soloist.inference.engines.graph_cache import cached_graph, fingerprint
from soloist.inference.graphs.capture import optimized
from soloist.inference.graphs.formats import write_step
from soloist.resources import import_extra
from soloist.separators import FrameStep, Separator, find_causal
from soloist.separators.frame_stream import Arrays, RunStep, run_step


class StepEngine:
    """The step of a causal separator, with an engine for each number of streams and frames.

    Steps are small: each is run on one thread, whatever the number of streams. Threads share the engine, as
    each stream has its own memory.

    Args:
        separator: The separator, or a denoiser with it.
        name: "torch" or "onnxruntime".
    """

    def __init__(self, separator: Separator, name: str) -> None:
        inner = find_causal(separator)
        assert inner is not None
        self.separator = inner
        self.name = name
        self.step = FrameStep(optimized(inner)).eval()  # type: ignore[arg-type]
        self._runs: dict[tuple[int, int], RunStep] = {}
        self._lock = threading.Lock()

    def run(self, streams: int, frames: int) -> RunStep:
        """Function that takes a step of so many frames with so many streams."""
        if self.name == "torch" or frames % self.step.period:
            return run_step(self.step)
        with self._lock:
            key = (streams, frames)
            if key not in self._runs:
                self._runs[key] = self._compile(streams, frames)
            return self._runs[key]

    def _compile(self, streams: int, frames: int) -> RunStep:
        runtime = import_extra("onnxruntime", "live")
        key = fingerprint(self.separator, "step", streams, frames)
        try:
            graph = cached_graph(key, partial(write_step, self.step, streams, frames))
        except ExportError:
            # A network of somebody else's may have operations that ONNX has not.
            return run_step(self.step)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        # An arena keeps what the largest step ever took; these steps are all alike.
        options.enable_cpu_mem_arena = False
        session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        # The exporter leaves out inputs without elements.
        names = [port.name for port in session.get_inputs()]
        places = [int(name.removeprefix("input")) for name in names]

        def run(arrays: Arrays) -> Arrays:
            outputs: Arrays = session.run(
                None, {name: arrays[place] for name, place in zip(names, places, strict=True)}
            )
            return outputs

        return run
