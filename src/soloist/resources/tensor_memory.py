"""Peak memory of the tensors of a computation."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from soloist.resources.gpu_memory import is_gpu


def peak_tensor_memory(call: Callable[[], object], device: str = "cpu") -> int:
    """Peak number of bytes of the tensors of a function: weights, inputs and all intermediates.

    On CUDA the allocator tells the peak, with everything else on the device. On other devices each storage is
    followed from the operation that makes it to its end, to the byte; a storage that was there before counts
    if the function uses it. Scratch space inside an operation does not count.

    Args:
        call: Function to run.
        device: Device of its tensors.
    """
    if is_gpu(device):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    with _LiveStorages() as storages:
        call()
    return storages.found + storages.peak


class _LiveStorages(TorchDispatchMode):
    """Follows the storages of all tensors that operations read and make.

    Attributes:
        found: Bytes of storages that were there before.
        peak: Peak number of bytes of the storages that operations made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found = 0
        self.peak = 0
        self._alive = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # Without gradients composite operations arrive whole: their parts count.
        if func is not torch.ops.prim.device.default:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        self.found += sum(storage.nbytes() for storage in self._unknown((args, kwargs)))
        result = func(*args, **kwargs)
        for storage in self._unknown(result):
            self._alive += storage.nbytes()
            weakref.finalize(storage, self._free, storage.nbytes()).atexit = False
        self.peak = max(self.peak, self._alive)
        return result

    def _unknown(self, values: Any) -> Iterable[torch.UntypedStorage]:
        for leaf in tree_leaves(values):
            if isinstance(leaf, Tensor) and leaf.layout == torch.strided:
                storage = leaf.untyped_storage()
                if storage not in self._known:
                    self._known[storage] = True
                    yield storage

    def _free(self, size: int) -> None:
        self._alive -= size
