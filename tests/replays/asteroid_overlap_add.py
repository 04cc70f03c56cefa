"""Asteroid's way with long recordings: overlap-add of chunks whose sources are reordered, and common levels.

The original pads a whole window at both ends, divides by nothing unless the window is rectangular, and gives
all sources of a batch one factor that restores the mixture's summed magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from replays import asteroid
from soloist.transforms.learned_filterbank import overlap_add


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of chunks that are glued."""
    return config.get("system") == "asteroid" and (
        "ola" in config or config.get("class") == "LambdaOverlapAdd"
    )


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[[Tensor], Any]:
    """Rebuild the function that a vector records.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    if config["class"] == "LambdaOverlapAdd":
        return lambda chunks: _glue(
            list(torch.as_tensor(chunks)), config["length"], **_sizes(config["kwargs"])
        )
    defaults = {"fb_name": "free", "sample_rate": 8000, **config["kwargs"]}
    model = asteroid.from_reference({**config, "model_args": config.get("model_args", defaults)}, state)

    def run(audio: Tensor) -> dict[str, Tensor]:
        audio = torch.as_tensor(audio)
        sizes = _sizes(config["ola"])
        window, hop = sizes["window_size"], sizes["hop"]
        count = (audio.shape[-1] + window) // hop + 1
        padded = pad(audio, (window, window + hop))
        chunks = [model(padded[..., start : start + window]) for start in range(0, count * hop, hop)]
        outputs = {"overlap_add": _glue(chunks, audio.shape[-1], **sizes), "whole": model(audio)}
        leveled = {
            f"{name}_separate": output * (audio.abs().sum() / output.abs().sum())
            for name, output in outputs.items()
        }
        return {**outputs, **leveled}

    return run


def _sizes(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "window_size": kwargs["window_size"],
        "hop": kwargs["hop_size"] or kwargs["window_size"] // 2,
        "hann": kwargs["window"] == "hann",
        "reorder": kwargs["reorder_chunks"],
    }


def _glue(
    chunks: list[Tensor], length: int, *, window_size: int, hop: int, hann: bool, reorder: bool
) -> Tensor:
    """Add chunks `(batch, sources, window_size)` up to `(batch, sources, length)`."""
    if reorder:
        for index in range(1, len(chunks)):
            chunks[index] = _reorder(chunks[index], chunks[index - 1], window_size - hop)
    frames = torch.stack(chunks, dim=-1)
    weights = torch.hann_window(window_size) if hann else torch.full((window_size,), hop / window_size)
    return overlap_add(frames * weights[:, None], hop)[..., window_size : window_size + length]


def _reorder(chunk: Tensor, previous: Tensor, overlap: int) -> Tensor:
    """Put the sources of each item in the order that agrees best with the chunk before, without means."""
    head, tail = chunk[..., :overlap], previous[..., -overlap:]
    head, tail = (part - part.mean(dim=-1, keepdim=True) for part in (head, tail))
    products = torch.einsum("b i t, b j t -> b i j", tail, head)
    orders = torch.tensor(list(permutations(range(chunk.shape[1]))))
    sums = torch.stack([products[:, range(len(order)), order].sum(dim=1) for order in orders], dim=1)
    # The original applies the inverse of the best order, which differs for a cycle of three sources.
    best = orders[sums.argmax(dim=1)].argsort(dim=1)
    return torch.stack([item[order] for item, order in zip(chunk, best, strict=True)])
