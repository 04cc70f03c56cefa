"""Coefficients of estimates and references, as one tensor or as a list of blocks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.losses.loss import Coefficients, Prediction


def as_blocks(coefficients: Coefficients) -> list[Tensor]:
    """Return coefficients as a list of blocks; a tensor is one block."""
    return [coefficients] if isinstance(coefficients, Tensor) else coefficients


def analyze_sources(analyze: Callable[[Tensor], Coefficients], sources: Tensor) -> list[Tensor]:
    """Analyse audio `(batch, sources, channels, samples)` into blocks `(batch, sources, channels, ...)`."""
    blocks = as_blocks(analyze(rearrange(sources, "b s c t -> (b s) c t")))
    return [block.unflatten(0, sources.shape[:2]) for block in blocks]


def as_vectors(blocks: list[Tensor]) -> Tensor:
    """Flatten and concatenate blocks `(batch, sources, ...)` to `(batch, sources, numbers)`."""
    vectors = [block.flatten(2) for block in blocks]
    return vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=-1)


def phase_sensitive_ratio(mixture: Tensor, sources: Tensor) -> Tensor:
    """Phase-sensitive mask in [0, 1]: the factor that brings a mixture's coefficient nearest to a source's.

    H. Erdogan, J. R. Hershey, S. Watanabe and J. Le Roux, "Phase-sensitive and recognition-boosted speech
    separation using deep recurrent neural networks", ICASSP 2015.

    Args:
        mixture: Complex coefficients of a shape that broadcasts with `sources`.
        sources: Complex coefficients `(...)`.

    Returns:
        Real `(...)`.
    """
    power = mixture.abs().square().clamp(min=torch.finfo(sources.dtype).tiny)
    return ((sources * mixture.conj()).real / power).clamp(0, 1)


def analysis(prediction: Prediction, loss: nn.Module) -> Callable[[Tensor], Coefficients]:
    """Return the transform of the separator.

    Raises:
        UsageError: The separator has none.
    """
    if prediction.analyze is None:
        raise UsageError(
            f"{type(loss).__name__} needs a transform: this separator has none of its own, "
            "so give the loss one, such as soloist.transforms.STFT"
        )
    return prediction.analyze
