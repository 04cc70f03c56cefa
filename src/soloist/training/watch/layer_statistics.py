"""Weights and gradients of each layer, for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from soloist.training.watch.loggers import writer_of

BINS = 64
"""Bins of a histogram: about twice as many as TensorBoard shows."""


class Layers(Callback):
    """Writes norms and histograms of every parameter and of its gradient, before clipping.

    Tags are `weights/<parameter>`, `gradients/<parameter>` (histograms), `weight_norm/<parameter>` and
    `gradient_norm/<parameter>` (scalars).

    Args:
        norms_every: Steps between two norms; 0 for none.
        histograms_every: Epochs between two histograms, which are drawn at the last step; 0 for none.
    """

    def __init__(self, norms_every: int, histograms_every: int) -> None:
        self._norms_every = norms_every
        self._histograms_every = histograms_every

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Write statistics of all gradients before clipping."""
        writer = writer_of(trainer)
        if writer is None:
            return
        step = trainer.global_step
        if self._norms_every and (step + 1) % self._norms_every == 0:
            _write_norms(writer, pl_module, step)
        epochs = self._histograms_every
        if epochs and trainer.is_last_batch and trainer.current_epoch % epochs == 0:
            _write_histograms(writer, pl_module, step)


def _write_norms(writer: SummaryWriter, module: nn.Module, step: int) -> None:
    for kind, name, values in _parameters(module):
        writer.add_scalar(f"{kind}_norm/{name}", torch.linalg.vector_norm(values), step)


def _write_histograms(writer: SummaryWriter, module: nn.Module, step: int) -> None:
    for kind, name, values in _parameters(module):
        # A gradient in half precision may be infinite: the optimizer then skips the step.
        finite = values[values.isfinite()]
        if finite.numel():
            writer.add_histogram(f"{kind}s/{name}", finite, step, bins=BINS)


def _parameters(module: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """Yield kind, name and values of every parameter of the separator, and of its gradient if any."""
    for name, parameter in module.named_parameters():
        name = name.removeprefix("separator.")
        yield "weight", name, parameter.detach().float()
        if parameter.grad is not None:
            yield "gradient", name, parameter.grad.detach().float()
