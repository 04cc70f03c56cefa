"""Non-negative factorisation of magnitudes into templates and activations."""

from __future__ import annotations

import torch
from torch import Tensor

_FLOOR = 1e-8


def divergence_gradients(observed: Tensor, model: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Negative and positive part of the gradient of a beta-divergence with respect to a model.

    The gradient is the second minus the first. A factor of the model times the ratio of first to second, both
    projected on the factor, lowers the divergence and stays positive [1].

    Args:
        observed: Observed values, not negative, any shape.
        model: Of the same shape.
        beta: 2 is the squared distance, 1 Kullback and Leibler's divergence, 0 Itakura and Saito's.

    Returns:
        Two tensors of that shape.

    References:
        [1] C. Févotte and J. Idier, "Algorithms for nonnegative matrix factorization with the
        beta-divergence", Neural Computation 23(9), 2011.
    """
    model = model.clamp(min=_FLOOR)
    push = model ** (beta - 1)
    return push / model * observed, push


def factorize(
    magnitudes: Tensor, components: int, *, iterations: int = 200, beta: float = 1.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Non-negative factorisation: magnitudes as sums of templates with activations.

    Args:
        magnitudes: `(batch, frequency, frames)`; each item has factors of its own.
        components: Number of templates.
        iterations: Multiplicative updates.
        beta: Order of the minimised divergence; see `divergence_gradients`.
        seed: Seed of the initial factors, which are the same for each item.

    Returns:
        Templates `(batch, frequency, components)`, each with sum one, and activations
        `(batch, components, frames)`.
    """
    _, frequency, frames = magnitudes.shape
    level = magnitudes.mean(dim=(1, 2), keepdim=True)
    observed = magnitudes / level.masked_fill(level == 0, 1)
    generator = torch.Generator().manual_seed(seed)
    sizes = (frequency, components), (components, frames)
    templates, activations = ((torch.rand(size, generator=generator) + 0.1).to(observed) for size in sizes)
    templates, activations = (factor.expand(len(observed), -1, -1) for factor in (templates, activations))
    for _ in range(iterations):
        pull, push = divergence_gradients(observed, templates @ activations, beta)
        templates = templates * (pull @ activations.mT) / (push @ activations.mT).clamp(min=_FLOOR)
        pull, push = divergence_gradients(observed, templates @ activations, beta)
        activations = activations * (templates.mT @ pull) / (templates.mT @ push).clamp(min=_FLOOR)
    sums = templates.sum(dim=1, keepdim=True).clamp(min=_FLOOR)
    return templates / sums, activations * sums.mT * level
