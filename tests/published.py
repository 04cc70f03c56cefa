"""A small published model, under its authors' names, for tests of importing and downloading."""

from __future__ import annotations

import torch
from torch import Tensor

BASES, CHANNELS, HIDDEN, DEPTH, SOURCES, KERNEL = 16, 12, 20, 4, 2, 21


def published_state() -> dict[str, Tensor]:
    """State dict of an improved SuDoRM-RF of one block, as its authors' code would save it."""
    shapes = {
        "encoder.weight": (BASES, 1, KERNEL),
        "ln.gamma": (BASES,),
        "ln.beta": (BASES,),
        "bottleneck.weight": (CHANNELS, BASES, 1),
        "bottleneck.bias": (CHANNELS,),
        "sm.0.proj_1x1.conv.weight": (HIDDEN, CHANNELS, 1),
        "sm.0.proj_1x1.conv.bias": (HIDDEN,),
        "sm.0.proj_1x1.norm.gamma": (HIDDEN,),
        "sm.0.proj_1x1.norm.beta": (HIDDEN,),
        "sm.0.proj_1x1.act.weight": (1,),
        "sm.0.final_norm.norm.gamma": (HIDDEN,),
        "sm.0.final_norm.norm.beta": (HIDDEN,),
        "sm.0.final_norm.act.weight": (1,),
        "sm.0.res_conv.weight": (CHANNELS, HIDDEN, 1),
        "sm.0.res_conv.bias": (CHANNELS,),
        "mask_net.0.weight": (1,),
        "mask_net.1.weight": (SOURCES * BASES, CHANNELS, 1),
        "mask_net.1.bias": (SOURCES * BASES,),
        "decoder.weight": (SOURCES * BASES, SOURCES, KERNEL),
    }
    for level in range(DEPTH):
        shapes[f"sm.0.spp_dw.{level}.conv.weight"] = (HIDDEN, 1, 5)
        for name in ("conv.bias", "norm.gamma", "norm.beta"):
            shapes[f"sm.0.spp_dw.{level}.{name}"] = (HIDDEN,)
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
