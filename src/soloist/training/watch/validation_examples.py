"""Sounds and pictures of a few validation examples during a training."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import lightning as L
import soundfile
import torch
from lightning.pytorch.callbacks import Callback
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from soloist.inspection import loud_embeddings
from soloist.losses import Prediction
from soloist.metrics import permuted, si_sdr
from soloist.separators import Separator
from soloist.training.data.batches import ExampleBatch
from soloist.training.loop.task import SeparationTask
from soloist.training.watch.loggers import writer_of
from soloist.training.watch.tensorboard_pictures import (
    draw_embeddings,
    draw_spectrograms,
    draw_waveforms,
    to_pixels,
)


@dataclass(frozen=True)
class WatchedExample:
    """One example and its estimates, on the CPU.

    Attributes:
        mixture: `(channels, samples)`.
        references: Reference `(channels, samples)` of each source, by name.
        estimates: Estimate of each source, matched with the references if unordered.
    """

    mixture: Tensor
    references: dict[str, Tensor]
    estimates: dict[str, Tensor]

    @property
    def residual(self) -> Tensor:
        """Mixture less all estimates, `(channels, samples)`."""
        return self.mixture - torch.stack(list(self.estimates.values())).sum(dim=0)

    def signals(self) -> dict[str, Tensor]:
        """All signals by tag, in pairs in the order of the pictures."""
        named = {"mixture": self.mixture, "residual": self.residual}
        for name, reference in self.references.items():
            named |= {f"{name}/reference": reference, f"{name}/estimate": self.estimates[name]}
        return named


class Examples(Callback):
    """Writes sounds and pictures of the first validation examples for TensorBoard.

    Tags are `example1/mixture`, `example1/residual`, `example1/<source>/reference`,
    `example1/<source>/estimate` (audio), `example1/spectrograms`, `example1/waveforms` and, where the
    separator has embeddings, `example1/embeddings` (images). What does not change is written once.

    Args:
        count: Number of examples.
        every: Epochs between two records.
        seconds: Length of each, s.
    """

    def __init__(self, count: int, every: int, seconds: float) -> None:
        self._count = count
        self._every = every
        self._seconds = seconds
        self._seen = 0
        self._known: set[str] = set()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin with the first example."""
        self._seen = 0

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: ExampleBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Record the examples of this batch that are among the first."""
        writer = writer_of(trainer)
        if writer is None or trainer.sanity_checking or trainer.current_epoch % self._every:
            return
        assert isinstance(pl_module, SeparationTask)
        separator = pl_module.separator
        length = round(self._seconds * separator.sample_rate)
        for place in range(min(len(batch.mixture), self._count - self._seen)):
            self._seen += 1
            mixture = batch.mixture[place, None, :, :length]
            references = batch.references[place, None, :, :, :length]
            with trainer.precision_plugin.forward_context():
                prediction = separator.predict(mixture)
                look = _look(separator, prediction, references)
            tag, step = f"example{self._seen}", trainer.global_step
            self._write(writer, tag, look, separator.sample_rate, step)
            if prediction.embeddings is not None and prediction.analyze is not None:
                embeddings, dominant = loud_embeddings(prediction, references)
                picture = to_pixels(draw_embeddings(embeddings, dominant, separator.sources))
                writer.add_image(f"{tag}/embeddings", picture, step, dataformats="HWC")

    def _write(self, writer: SummaryWriter, tag: str, look: WatchedExample, rate: int, step: int) -> None:
        signals = look.signals()
        for name, audio in signals.items():
            constant = name == "mixture" or name.endswith("/reference")
            if not constant or f"{tag}/{name}" not in self._known:
                write_audio(writer, f"{tag}/{name}", audio, rate, step)
                self._known.add(f"{tag}/{name}")
        for kind, draw in (("spectrograms", draw_spectrograms), ("waveforms", draw_waveforms)):
            writer.add_image(f"{tag}/{kind}", to_pixels(draw(signals, rate)), step, dataformats="HWC")


def write_audio(writer: SummaryWriter, tag: str, audio: Tensor, sample_rate: int, step: int) -> None:
    """Write audio `(channels, samples)` as 16-bit WAV; what exceeds full scale is turned down to it."""
    wav = io.BytesIO()
    samples = audio / max(1.0, float(audio.abs().max()))
    soundfile.write(wav, samples.T.numpy(), sample_rate, format="WAV", subtype="PCM_16")
    sound = Summary.Audio(
        sample_rate=sample_rate,
        num_channels=len(audio),
        length_frames=audio.shape[-1],
        encoded_audio_string=wav.getvalue(),
        content_type="audio/wav",
    )
    # SummaryWriter.add_audio knows one channel only.
    summary = Summary(value=[Summary.Value(tag=tag, audio=sound)])
    writer.file_writer.add_summary(summary, step)  # type: ignore[attr-defined]


def _look(separator: Separator, prediction: Prediction, references: Tensor) -> WatchedExample:
    estimates = prediction.estimates
    if not separator.ordered:
        order = permuted(si_sdr, references, estimates)[1]
        estimates = torch.take_along_dim(estimates, order[:, :, None, None], dim=1)
    return WatchedExample(
        prediction.mixture[0].float().cpu(),
        dict(zip(separator.sources, references[0].float().cpu(), strict=True)),
        dict(zip(separator.sources, estimates[0].float().cpu(), strict=True)),
    )
