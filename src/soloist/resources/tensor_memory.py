"""How much memory the tensors of a computation take at once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


def peak_tensor_memory(call: Callable[[], object], device: str = "cpu") -> int:
    """The most bytes that tensors take at once while a function runs: weights, inputs and all intermediates.

    On CUDA this is what its allocator says, with what else lies on the device. Anywhere else each storage is
    followed from the operation that makes it to its end, to the byte, whatever the allocator does; what was
    there before counts where it is used. Scratch space inside an operation is not seen.

    Args:
        call: What is run.
        device: Where its tensors are.
    """
    if torch.device(device).type == "cuda":
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
        found: Bytes of what was there before.
        peak: The most bytes that were alive of what has been made.
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
        # Without gradients an operation comes here whole that is made of others: then these are what counts.
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
