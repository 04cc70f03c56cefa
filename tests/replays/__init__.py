"""Replays of other people's programs: each reference vector as a function of its input.

A vector records one call of a published program: its configuration, weights, input and output. Replays put
Soloist's parts together as that program does, defects included.

>>> replays.from_reference(config, state)(input)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from replays import (
    asteroid,
    asteroid_overlap_add,
    auralflow,
    demucs,
    demucs_apply,
    enhancement,
    ismir2020_unets,
    mdx23c,
    mdxnet,
    nussl,
    roformer,
    scnet,
    speechbrain,
    spleeter,
    sudo_rm_rf,
    xumx_slicq,
)
from soloist.errors import ModelError

_CODE_BASES = (
    asteroid,
    asteroid_overlap_add,
    auralflow,
    demucs,
    demucs_apply,
    enhancement,
    ismir2020_unets,
    mdx23c,
    mdxnet,
    nussl,
    roformer,
    scnet,
    speechbrain,
    spleeter,
    sudo_rm_rf,
    xumx_slicq,
)


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild the function that a reference vector records.

    Args:
        config: Configuration of the vector.
        state: Weights under the original's names, as tensors or NumPy arrays.

    Returns:
        A callable that maps the vector's input to its output, with the reference's axes: a tensor, or a dict
        keyed by what follows `output/`. Several inputs `input/<i>` are given as a list.

    Raises:
        ModelError: No replay knows the configuration, or the weights do not fit it.
    """
    for code_base in _CODE_BASES:
        if code_base.handles(config):
            return code_base.from_reference(config, state)
    raise ModelError(f"no replay knows the system {config.get('system')!r}, class {config.get('class')!r}")
