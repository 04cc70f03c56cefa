"""Recorded runs of museval, and noises of which BSS Eval is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soloist.metrics import bss_eval

FIXTURES = Path(__file__).parent / "fixtures" / "bsseval"
RATIOS = ("sdr", "isr", "sir", "sar")


class Vector:
    """Recorded run of museval."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            self.arrays = dict(stored)
        config = json.loads(str(self.arrays["config"]))
        self.references, self.estimates = (
            torch.from_numpy(self.arrays[name].swapaxes(1, 2) * config["scale"]) for name in ("ref", "est")
        )
        arguments = config["bss_eval_arguments"]
        self.options = {
            "window": float(arguments["window"]),
            "hop": float(arguments["hop"]),
            "filter_length": arguments["filters_len"],
            "framewise_filters": arguments["framewise_filters"],
            "sources_version": arguments["bsseval_sources_version"],
            "permutation": arguments["compute_permutation"],
        }

    def run(self, **changes: Any):
        return bss_eval(self.references, self.estimates, **{**self.options, **changes})

    def check(self, result, prefix: str = "") -> None:
        for name in RATIOS:
            np.testing.assert_allclose(
                getattr(result, name).numpy(), self.arrays[prefix + name], rtol=0, atol=1e-8, err_msg=name
            )


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def mixed(references: Tensor, seed: int = 1) -> Tensor:
    """Estimates with every kind of error, in the order of the references."""
    leaked = 0.8 * references + 0.1 * references.flip(0)
    leaked[..., 3:] += 0.2 * references[..., :-3]
    return leaked + 0.1 * noise(*references.shape, seed=seed)


def assert_same(first, second, tolerance: float = 1e-9) -> None:
    for name in RATIOS:
        torch.testing.assert_close(
            getattr(first, name), getattr(second, name), rtol=0, atol=tolerance, equal_nan=True
        )
