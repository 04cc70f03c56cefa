"""Trainings in bfloat16: networks alone compute in it, and gradients hardly differ."""

from __future__ import annotations

import csv

import pytest
import torch
from torch import nn

from families import FAMILIES, make_family
from soloist.training import read_recipe, train
from soloist.training.loop.task import _lower_in_networks

QUICK = ("sudormrf-improved", "bs-roformer", "xumx-slicq", "clustering")
UNSTEADY = {"conv-tdf-net": 0.6}
"""Least similarity of families whose gradients are small differences, of norms over few values."""


def step(name: str, *, lower: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimates and all gradients of a step of a family, without dropout."""
    separator = make_family(name).train()
    for module in separator.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    torch.manual_seed(1)
    mixture = 0.3 * torch.randn(2, separator.channels, 2400)
    references = 0.3 * torch.randn(2, len(separator.sources), separator.channels, 2400)
    with torch.autocast("cpu", torch.bfloat16, enabled=lower), _lower_in_networks(separator, mixture):
        estimates = separator.predict(mixture).estimates
        (estimates - references).square().mean().backward()
    assert separator.network_dtype is None
    gradients = [weight.grad.flatten() for weight in separator.parameters() if weight.grad is not None]
    return estimates.detach(), torch.cat(gradients)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_gradients_hardly_differ(name):
    estimates, gradients = step(name, lower=False)
    lower_estimates, lower_gradients = step(name, lower=True)
    assert lower_estimates.dtype == torch.float32
    assert not torch.equal(lower_estimates, estimates)
    similarity = torch.cosine_similarity(gradients, lower_gradients, dim=0)
    assert similarity > UNSTEADY.get(name, 0.98)
    assert 0.9 < lower_gradients.norm() / gradients.norm() < 1.1


def losses(path, folder, precision: str) -> list[float]:
    """Losses of the validations of a training."""
    changes = [("trainer.precision", precision), ("trainer.gradient_clip_val", "100")]
    train(read_recipe(path, changes), folder, quiet=True)
    with (folder / "metrics.csv").open() as file:
        return [float(row["valid/loss"]) for row in csv.DictReader(file) if row["valid/loss"]]


@pytest.mark.slow
def test_one_flag_trains_in_bfloat16(write_recipe, tmp_path):
    path = write_recipe(data={"test": None})
    exact = losses(path, tmp_path / "exact", "32-true")
    lower = losses(path, tmp_path / "lower", "bf16-mixed")
    assert lower != exact
    assert lower == pytest.approx(exact, abs=0.3)
