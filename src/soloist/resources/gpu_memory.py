"""Memory of a GPU."""

from __future__ import annotations

import torch


def is_gpu(device: str) -> bool:
    """Whether a device has memory of its own that is known of: those of CUDA."""
    return torch.device(device).type == "cuda"


def available_gpu_memory(device: str) -> float | None:
    """What this process may hold of a GPU's memory in all, in MB (10^6 bytes); None for other devices."""
    if not is_gpu(device):
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return (free + torch.cuda.memory_reserved(device)) / 1e6


class GPUMemory:
    """What a computation takes of a GPU's memory, from now on.

    Args:
        device: Any; nothing is said of those other than of CUDA.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._before = 0
        if is_gpu(device):
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)

    def peak(self, times: float = 1.0) -> float | None:
        """The most that was held at once, in MB; None for devices other than of CUDA.

        Args:
            times: How often the computation is to be done at once.
        """
        if not is_gpu(self._device):
            return None
        grown = torch.cuda.max_memory_allocated(self._device) - self._before
        return (torch.cuda.max_memory_reserved(self._device) + (times - 1) * grown) / 1e6
