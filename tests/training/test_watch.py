"""A tiny training with everything that is watched, read back from the files it leaves."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import soundfile
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from soloist.errors import UsageError
from soloist.metrics import si_sdr
from soloist.mixing import Mixer
from soloist.training import Curriculum, Recipe, SeparationTask
from soloist.training.data.batches import BatchSampler, make_loader
from soloist.training.loop.trainer import callbacks_for, loggers_for
from soloist.training.watch.loggers import Board
from soloist.training.watch.progress import NoProgress, make_progress
from soloist.training.watch.throughput import Timing
from soloist.training.watch.validation_examples import Examples

pytestmark = pytest.mark.slow

RATE = 8000
STEPS, EPOCHS = 6, 2
LOG_EVERY = 3
VALID = [[0, 1], [2]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Two voices of four tones each, half a second long."""
    root = tmp_path_factory.mktemp("corpus")
    seconds = np.arange(RATE // 2) / RATE
    for voice, pitch in (("low", 200), ("high", 900)):
        (root / voice).mkdir()
        for take in range(4):
            tone = 0.4 * np.sin(2 * np.pi * pitch * (1 + take / 10) * seconds)
            soundfile.write(root / voice / f"{take}.wav", tone, RATE)
    return root


@pytest.fixture(scope="module")
def recipe(corpus) -> Recipe:
    network = {"num_filters": 16, "channels": 8, "hidden_channels": 16, "num_blocks": 1, "depth": 2}
    filterbank = {"num_filters": 16, "kernel_size": 21, "num_sources": 2}
    separator = {
        "sources": ["first", "second"],
        "sample_rate": RATE,
        "ordered": False,
        "filterbank": part("soloist.transforms.LearnedFilterbank", **filterbank),
        "network": part("soloist.networks.SuDoRMRF", **network),
    }
    clips = part("soloist.datasets.ClipFolder")
    loss = part("soloist.losses.SISDR")
    values = {
        "name": "tones",
        "separator": part("soloist.separators.FilterbankSeparator", **separator),
        "data": {
            "root": str(corpus),
            "train": part("soloist.mixing.ClipMixer", corpus=clips, split="all", duration=0.4),
            "valid": {"seed": 1},
        },
        "loss": part("soloist.losses.PermutationInvariant", loss=loss),
        "watch": {"norms_every": 2, "examples_every": 1, "examples": 3, "seconds": 0.3},
    }
    return Recipe.parse(values, "tones")


@pytest.fixture(scope="module")
def quick(recipe) -> Recipe:
    """The same training, with figures only."""
    return replace(recipe, watch=replace(recipe.watch, examples=0, histograms_every=0, norms_every=0))


def part(class_path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": class_path, "init_args": arguments}


@dataclass
class Seen(Callback):
    """What a training really did."""

    losses: list[float] = field(default_factory=list)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        for name, parameter in pl_module.separator.named_parameters():
            self.weights[name] = parameter.detach().clone()
            self.gradients[name] = parameter.grad.clone()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.losses.append(outputs["loss"].item())


def fit(recipe: Recipe, folder: Path, callbacks: list[Callback], checkpoint: Path | None = None) -> L.Trainer:
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        log_every_n_steps=LOG_EVERY,
        logger=loggers_for(recipe, folder),
        callbacks=[*callbacks_for(recipe, quiet=True), *callbacks],
        accelerator="cpu",
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        gradient_clip_val=0.1,
    )
    train: Mixer = recipe.build(recipe.data.train, Mixer)
    valid: Mixer = recipe.build(recipe.data.mixer(recipe.data.valid), Mixer)
    batches = BatchSampler(Curriculum(STEPS, 2), lambda: trainer.global_step)
    trainer.fit(
        SeparationTask(recipe),
        make_loader(train, batches, workers=0),
        make_loader(valid, VALID, workers=0),
        ckpt_path=checkpoint,
        weights_only=False,
    )
    return trainer


@dataclass
class Run:
    folder: Path
    seen: Seen

    @property
    def board(self) -> EventAccumulator:
        everything = dict.fromkeys(("scalars", "images", "audio", "histograms", "tensors"), 0)
        return EventAccumulator(str(self.folder / "tensorboard"), size_guidance=everything).Reload()

    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    seen = Seen()
    fit(recipe, folder, [seen])
    return Run(folder, seen)


@pytest.fixture(scope="module")
def board(run) -> EventAccumulator:
    return run.board


def scalars(board: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in board.Scalars(tag)}


def test_losses_are_shown_by_iteration_and_by_epoch(run, board):
    by_step = {step: run.seen.losses[step] for step in (2, 5, 8, 11)}
    assert scalars(board, "train/loss") == pytest.approx(by_step)
    means = {5: np.mean(run.seen.losses[:6]), 11: np.mean(run.seen.losses[6:])}
    assert scalars(board, "train/loss_epoch") == pytest.approx(means, rel=1e-5)
    assert scalars(board, "valid/loss").keys() == scalars(board, "valid/si_sdri").keys() == {5, 11}


def test_learning_rate_and_gradient_norm_are_shown(run, board):
    assert scalars(board, "train/rate") == pytest.approx(dict.fromkeys((2, 5, 8, 11), 0.001))
    norm = torch.cat([gradient.flatten() for gradient in run.seen.gradients.values()]).norm().item()
    assert norm > 0.1, "otherwise clipping would not show"
    assert scalars(board, "train/gradient_norm")[11] == pytest.approx(norm, rel=1e-4)


def test_each_layer_has_norms(run, board):
    for name, weights in run.seen.weights.items():
        shown = scalars(board, f"weight_norm/{name}")
        assert shown.keys() == {1, 3, 5, 7, 9, 11}
        assert shown[11] == pytest.approx(weights.norm().item(), rel=1e-5)
        gradient = run.seen.gradients[name].norm().item()
        assert scalars(board, f"gradient_norm/{name}")[11] == pytest.approx(gradient, rel=1e-5)


def test_each_layer_has_histograms(run, board):
    for kind, tensors in (("weights", run.seen.weights), ("gradients", run.seen.gradients)):
        for name, values in tensors.items():
            first, last = board.Histograms(f"{kind}/{name}")
            assert (first.step, last.step) == (5, 11)
            shown = last.histogram_value
            assert shown.num == values.numel()
            assert shown.min == pytest.approx(values.min().item(), rel=1e-5)
            assert shown.max == pytest.approx(values.max().item(), rel=1e-5)
            assert shown.sum == pytest.approx(values.double().sum().item(), rel=1e-3, abs=1e-5)


def heard(board: EventAccumulator, tag: str) -> np.ndarray:
    """The latest sound of a tag, (samples, channels)."""
    event = board.Audio(tag)[-1]
    assert event.content_type == "audio/wav"
    audio, rate = soundfile.read(io.BytesIO(event.encoded_audio_string), always_2d=True)
    assert rate == event.sample_rate == RATE
    assert len(audio) == event.length_frames == round(0.3 * RATE)
    return audio


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_first_validation_examples_can_be_heard(recipe, board, number):
    example = recipe.build(recipe.data.mixer(recipe.data.valid), Mixer).draw(number - 1)
    mixture = heard(board, f"example{number}/mixture")
    np.testing.assert_allclose(mixture.T, example.mixture[:, : len(mixture)], atol=1e-4)
    sources = ("first", "second")
    references = [heard(board, f"example{number}/{source}/reference") for source in sources]
    for shown, true in zip(references, example.references, strict=True):
        np.testing.assert_allclose(shown.T, true[:, : len(shown)], atol=1e-4)
    estimates = [heard(board, f"example{number}/{source}/estimate") for source in sources]
    as_shown = si_sdr(*(torch.from_numpy(np.stack(s).swapaxes(1, 2)) for s in (references, estimates))).sum()
    swapped = si_sdr(
        *(torch.from_numpy(np.stack(s).swapaxes(1, 2)) for s in (references, estimates[::-1]))
    ).sum()
    assert as_shown > swapped, "talkers are matched with the references"


def test_the_residual_is_what_the_estimates_leave(board):
    estimates = [heard(board, f"example1/{source}/estimate") for source in ("first", "second")]
    left = heard(board, "example1/mixture") - sum(estimates)
    assert max(np.abs(left).max(), *(np.abs(estimate).max() for estimate in estimates)) < 1
    np.testing.assert_allclose(heard(board, "example1/residual"), left, atol=2e-4)


def test_what_does_not_change_is_written_once(board):
    assert len(board.Audio("example1/mixture")) == len(board.Audio("example1/first/reference")) == 1
    assert [event.step for event in board.Audio("example1/first/estimate")] == [6, 12]


@pytest.mark.parametrize("kind", ["spectrograms", "waveforms"])
def test_pictures_of_all_signals(board, kind):
    events = board.Images(f"example2/{kind}")
    assert [event.step for event in events] == [6, 12]
    picture = Image.open(io.BytesIO(events[-1].encoded_image_string))
    assert picture.format == "PNG"
    assert picture.size == (events[-1].width, events[-1].height) == (1100, 700)
    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 10


def test_every_figure_is_in_one_table_with_a_row_for_each_step(run, board):
    rows = run.rows()
    assert [int(row["step"]) for row in rows] == [2, 5, 8, 11]
    assert [int(row["epoch"]) for row in rows] == [0, 0, 1, 1]
    for row in rows:
        assert float(row["train/loss"]) == pytest.approx(run.seen.losses[int(row["step"])], rel=1e-6)
    assert [bool(row["valid/si_sdri"]) for row in rows] == [False, True, False, True]
    assert float(rows[-1]["valid/si_sdri"]) == pytest.approx(scalars(board, "valid/si_sdri")[11])


class KilledError(Exception):
    pass


class KillAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.step:
            raise KilledError


@pytest.mark.parametrize(("saved", "killed"), [(4, 6), (7, 10)])
def test_a_resumed_training_leaves_the_figures_of_one_that_never_stopped(quick, run, tmp_path, saved, killed):
    # Rows beyond the checkpoint are there when it goes on: that of step 5, or of steps 8.
    checkpoints = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=saved, save_top_k=-1)
    with pytest.raises(KilledError):
        fit(quick, tmp_path, [checkpoints, KillAt(killed)])
    # TensorBoard reads files in the order of their names, which begin with the second.
    time.sleep(1.1)
    fit(quick, tmp_path, [], tmp_path / f"step={saved}.ckpt")
    resumed = Run(tmp_path, run.seen)
    assert resumed.rows()[0].keys() == run.rows()[0].keys()
    for ours, theirs in zip(resumed.rows(), run.rows(), strict=True):
        for name in theirs:
            if not name.startswith("time/"):
                assert ours[name] == theirs[name], name
    elapsed = [float(row["time/elapsed"]) for row in resumed.rows()]
    assert elapsed == sorted(elapsed)
    for tag in ("train/loss", "valid/loss", "train/loss_epoch"):
        events = resumed.board.Scalars(tag)
        assert len(events) == len(scalars(resumed.board, tag))
        assert scalars(resumed.board, tag) == scalars(run.board, tag)


def test_a_training_that_begins_anew_in_a_folder_forgets_what_was_there(quick, run, tmp_path):
    for _ in range(2):
        fit(quick, tmp_path, [])
    assert [int(row["step"]) for row in Run(tmp_path, run.seen).rows()] == [2, 5, 8, 11]


def test_watching_does_not_change_what_is_trained(quick, run, tmp_path):
    unwatched = Seen()
    fit(replace(quick, watch=replace(quick.watch, tensorboard=False)), tmp_path, [unwatched])
    for name, weights in run.seen.weights.items():
        assert torch.equal(unwatched.weights[name], weights), name


class SlowMixer(Mixer):
    def __init__(self, mixer: Mixer, delay: float) -> None:
        self.mixer, self.delay = mixer, delay

    def draw(self, index):
        time.sleep(self.delay)
        return self.mixer.draw(index)

    def __len__(self) -> int:
        return len(self.mixer)


class Recorder(Callback):
    def __init__(self) -> None:
        self.figures: dict[str, float] = {}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.figures = {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_waiting_for_data_is_told_from_computing(recipe):
    recorder = Recorder()
    trainer = L.Trainer(
        max_steps=4,
        logger=False,
        callbacks=[Timing(), recorder, make_progress(quiet=True)],
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    profiler = trainer.profiler
    mixer = SlowMixer(recipe.build(recipe.data.train, Mixer), 0.2)
    trainer.fit(SeparationTask(recipe), make_loader(mixer, [[n] for n in range(8)], workers=0))
    figures = recorder.figures
    assert figures["time/step"] > 0.2
    # Sleeping takes longer than it should where the processor is busy.
    assert 0.19 < figures["time/data_wait"] * figures["time/step"] < 0.5
    assert figures["time/audio_rate"] == pytest.approx(0.4 / figures["time/step"], rel=1e-3)
    assert figures["time/elapsed"] >= 4 * 0.2
    assert trainer.profiler is profiler


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed")
def test_weights_and_biases_names_what_is_missing(recipe, tmp_path):
    wanted = replace(recipe, watch=replace(recipe.watch, wandb=True))
    with pytest.raises(UsageError, match=r"pip install 'soloist\[wandb\]'"):
        loggers_for(wanted, tmp_path)


def test_what_is_not_wanted_is_not_there(recipe, tmp_path):
    bare = replace(recipe, watch=replace(recipe.watch, tensorboard=False))
    assert not any(isinstance(logger, Board) for logger in loggers_for(bare, tmp_path))
    assert not any(isinstance(callback, Examples) for callback in callbacks_for(bare))
    silent = replace(recipe, trainer={"enable_progress_bar": False})
    assert not any(isinstance(callback, NoProgress) for callback in callbacks_for(silent))
