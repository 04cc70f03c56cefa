"""Description of the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from soloist import __version__
from soloist.resources.gpu_memory import is_gpu


def describe_machine(device: str, threads: int | None) -> dict[str, str]:
    """Describe processor, threads, GPU and versions.

    Args:
        device: Device of the computation.
        threads: Requested number of processor threads; None for PyTorch's own choice.
    """
    described = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "threads": str(threads or torch.get_num_threads()),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "soloist": __version__,
    }
    if is_gpu(device):
        described["gpu"] = torch.cuda.get_device_name(device)
    return described


def _processor() -> str:
    """Name of the processor; Linux keeps it in a file that Python does not read."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
