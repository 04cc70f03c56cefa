"""Memory of GPUs, and the way there and back."""

from __future__ import annotations

import torch
from torch import Tensor


def is_gpu(device: str) -> bool:
    """Return True for devices of CUDA, whose memory can be measured."""
    return torch.device(device).type == "cuda"


def available_gpu_memory(device: str) -> float | None:
    """GPU memory that this process may hold in all, in MB (10^6 bytes); None for other devices."""
    if not is_gpu(device):
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return (free + torch.cuda.memory_reserved(device)) / 1e6


def to_device(tensor: Tensor, device: str) -> Tensor:
    """Move a tensor from the CPU to a device; to a GPU, through memory that it reads by itself."""
    if not is_gpu(device):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_cpu(tensor: Tensor) -> Tensor:
    """Move a tensor to the CPU; from a GPU, into memory that it writes by itself, other threads going on."""
    if not tensor.is_cuda:
        return tensor.cpu()
    there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    there.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return there


class GPUMemory:
    """Measures the GPU memory of a computation, from the construction of this object on.

    Args:
        device: Any device; figures are None except for CUDA.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._before = 0
        if is_gpu(device):
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)

    def peak(self, times: float = 1.0) -> float | None:
        """Peak of the memory that PyTorch reserved, in MB; None except for CUDA.

        Args:
            times: Number of such computations at once, for which the peak is extrapolated linearly.
        """
        if not is_gpu(self._device):
            return None
        grown = torch.cuda.max_memory_allocated(self._device) - self._before
        return (torch.cuda.max_memory_reserved(self._device) + (times - 1) * grown) / 1e6
