"""The PyTorch engine, for all separators and devices."""

from __future__ import annotations

import copy
import threading

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.inference.engines.engine import Estimate
from soloist.inference.engines.precision import check_precision, set_precision
from soloist.separators import Following, Note, Separator


class TorchEngine:
    """Runs a separator in PyTorch: on a device, folded and fused, without gradients.

    Args:
        separator: The separator; it is copied, except for weights that fast inference leaves as they are.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: Precision of the network, one of `PRECISIONS`.

    Raises:
        UsageError: The device does not exist, or does not have the precision.
    """

    name = "torch"

    def __init__(self, separator: Separator, device: str = "auto", precision: str = "float32") -> None:
        self.device, self.precision = find_device(device), precision
        check_precision(precision, self.device)
        self._separator = _copy(separator).optimize().to(self.device)
        set_precision(self._separator, precision)
        self._turn = threading.Lock()

    @torch.inference_mode()
    def __call__(self, mixture: Tensor) -> Tensor:
        """Estimate `(batch, sources, channels, samples)` from chunks `(batch, channels, samples)`."""
        with self._turn:
            return self._separator.estimate_any_length(mixture.to(self.device)).cpu()

    def follow(self, note: Note | None = None) -> Estimate | None:
        """Estimator of consecutive chunks of one recording; None for a separator without memory."""
        separator = self._separator
        follower = separator.follow(note) if isinstance(separator, Following) else None
        if follower is None:
            return None

        @torch.inference_mode()
        def estimate(mixture: Tensor) -> Tensor:
            with self._turn:
                return separator.run_staged(*follower.stage(mixture.to(self.device))).cpu()

        return estimate


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
