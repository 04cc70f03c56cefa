"""The PyTorch engine, for all separators and devices."""

from __future__ import annotations

import copy
import threading

import torch
from torch import Tensor, nn

from soloist.errors import OutOfMemoryError, UsageError
from soloist.inference.engines.engine import Estimate
from soloist.inference.engines.precision import check_precision, set_precision
from soloist.resources import to_cpu, to_device, within_memory
from soloist.separators import Finish, Following, Note, Separator

WAY_OUT = "take a shorter --chunk or --device cpu"
"""Advice for a chunk that the memory of a device cannot hold."""


class TorchEngine:
    """Runs a separator in PyTorch: on a device, folded and fused, without gradients.

    If memory does not suffice for a batch, the engine goes on with half of it, and stays with that.

    Args:
        separator: The separator; it is copied, except for weights that fast inference leaves as they are.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: Precision of the network, one of `PRECISIONS`.

    Attributes:
        batch_limit: Most chunks at once for which the memory sufficed; None if it did for every batch.

    Raises:
        UsageError: The device does not exist, or does not have the precision.
    """

    name = "torch"

    def __init__(self, separator: Separator, device: str = "auto", precision: str = "float32") -> None:
        self.device, self.precision = find_device(device), precision
        check_precision(precision, self.device)
        self._separator = _copy(separator).optimize().to(self.device)
        set_precision(self._separator, precision)
        self.batch_limit: int | None = None
        self._turn = threading.Lock()

    @torch.inference_mode()
    def __call__(self, mixture: Tensor) -> Tensor:
        """Estimate `(batch, sources, channels, samples)` from chunks `(batch, channels, samples)`.

        Raises:
            OutOfMemoryError: The memory does not suffice for one chunk.
        """
        with self._turn:
            done: list[Tensor] = []
            rest = mixture
            while len(rest):
                size = min(self.batch_limit or len(rest), len(rest))
                estimates = self._attempt(rest[:size])
                if estimates is None:
                    self.batch_limit = max(1, size // 2)
                else:
                    done.append(estimates)
                    rest = rest[size:]
            return done[0] if len(done) == 1 else torch.cat(done)

    def _attempt(self, mixture: Tensor) -> Tensor | None:
        """Estimates of a batch; None if the memory suffices for fewer chunks at most."""
        try:
            with within_memory(f"on {self.device} for one chunk: {WAY_OUT}"):
                there = to_device(mixture, self.device)
                return to_cpu(self._separator.estimate_any_length(there, self._estimate))
        except OutOfMemoryError:
            if len(mixture) == 1:
                raise
        # Not within the handler: the error holds the tensors of the attempt.
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        return None

    def follow(self, note: Note | None = None) -> Estimate | None:
        """Estimator of consecutive chunks of one recording; None for a separator without memory."""
        separator = self._separator
        follower = separator.follow(note) if isinstance(separator, Following) else None
        if follower is None:
            return None

        @torch.inference_mode()
        def estimate(mixture: Tensor) -> Tensor:
            # Not again with half of the batch: the follower has taken the chunks.
            with self._turn, within_memory(f"on {self.device}: take a smaller --batch-size or --device cpu"):
                return to_cpu(self._run_staged(*follower.stage(to_device(mixture, self.device))))

        return estimate

    def _estimate(self, mixture: Tensor) -> Tensor:
        return self._separator.estimate(mixture)

    def _run_staged(self, inputs: tuple[Tensor, ...], finish: Finish) -> Tensor:
        return self._separator.run_staged(inputs, finish)


def _copy(separator: Separator) -> Separator:
    """Copy that shares the weights: `optimize` replaces some of them, and changes none."""
    shared = {id(each): nn.Parameter(each.detach(), requires_grad=False) for each in separator.parameters()}
    return copy.deepcopy(separator, memo=dict(shared))


def find_device(name: str = "auto") -> str:
    """Find a device by name; "auto" is the best available one.

    Raises:
        UsageError: The device is unknown or does not exist.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {name!r} is not there; --device auto takes the best one that is") from error
    return name


def find_devices(names: str) -> tuple[str, ...]:
    """Find the devices of several workers.

    Args:
        names: Names of devices, separated by commas; "cuda", and "auto" where there is CUDA, for all GPUs.

    Raises:
        UsageError: A device is unknown or does not exist.
    """
    found = tuple(find_device(name.strip()) for name in names.split(","))
    if found != ("cuda",):
        return found
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
