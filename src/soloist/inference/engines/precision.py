"""Precision of the numbers that a network computes with; everything around it stays in float32."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.separators import Separator

Precision = Literal["float32", "bfloat16", "float16"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""Names of all precisions."""


def has_bfloat16() -> bool:
    """Return True if this processor multiplies matrices of bfloat16: AVX512-BF16, AMX, or ARM's BF16."""
    known = torch.cpu.get_capabilities()
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16", "sve_bf16"))


def check_precision(name: str, device: str) -> None:
    """Refuse a precision that is unknown or that a device does not have.

    Raises:
        UsageError: Names the way out.
    """
    if name not in PRECISIONS:
        raise UsageError(f"there is no precision {name!r}; there are {', '.join(PRECISIONS)}")
    if device != "cpu" or name == "float32":
        return
    if name == "float16":
        raise UsageError("float16 is for GPUs: take --precision bfloat16 or float32 on the cpu")
    if not has_bfloat16():
        raise UsageError("this processor does not compute in bfloat16: take --precision float32")


def set_precision(separator: Separator, name: str) -> None:
    """Let the networks of a separator, and of those that it is made of, compute with a precision.

    The layers that a network names in `full_precision` stay in float32; `*` in a name stands for any part.
    """
    if name == "float32":
        return
    for module in list(separator.modules()):
        if isinstance(module, Separator):
            module.network_dtype = getattr(torch, name)
        for pattern in getattr(module, "full_precision", ()):
            for layer in (each for path, each in module.named_modules() if fnmatchcase(path, pattern)):
                _keep_float32(layer)


def _keep_float32(layer: nn.Module) -> None:
    """Let a layer compute in float32, also within autocast."""
    forward = layer.forward

    def compute(*inputs: Any) -> Any:
        with torch.autocast(inputs[0].device.type, enabled=False):
            return forward(*(each.float() if isinstance(each, Tensor) else each for each in inputs))

    # Not a hook: the layer is called as before, and PyTorch calls what it finds under this name.
    layer.forward = compute
