"""Draw the pictures of the documentation: `python docs/make_pictures.py` (needs the extra `docs`)."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from soloist import separate
from soloist.audio import read_audio
from soloist.transforms.stft import STFT

ROOT = Path(__file__).resolve().parents[1]
FLOOR_DB = -70.0


def draw_spectrogram(axes: Axes, audio: NDArray[np.float32], sample_rate: int, title: str) -> AxesImage:
    """Magnitudes of the mean of all channels of `(channels, samples)`, in dB of a full-scale sinusoid."""
    stft = STFT(2048, 512, scaled=True)
    magnitudes = stft(torch.from_numpy(audio.mean(axis=0))[None, None])[0, 0].abs().numpy()
    levels = 20 * np.log10(2 * magnitudes + 1e-9)
    extent = (0.0, audio.shape[1] / sample_rate, 0.0, sample_rate / 2000)
    image = axes.imshow(
        levels, origin="lower", aspect="auto", extent=extent, vmin=FLOOR_DB, vmax=0, cmap="magma"
    )
    axes.set(title=title, ylim=(0, 10))
    return image


def draw_example(path: Path) -> None:
    """The example recording, its true vocals, and what the default model makes of it."""
    mixture, sample_rate = read_audio(ROOT / "examples/band/mixture.flac")
    vocals, _ = read_audio(ROOT / "examples/band/vocals.flac")
    stems = separate(mixture, sample_rate)
    panels = {"the recording": mixture, "its true vocals": vocals}
    panels |= {f"Soloist: {name}": audio for name, audio in stems.items()}
    figure, grid = plt.subplots(2, 2, figsize=(11, 5), sharex=True, sharey=True, layout="constrained")
    for axes, (title, audio) in zip(grid.flat, panels.items(), strict=True):
        image = draw_spectrogram(axes, audio, sample_rate, title)
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    for axes in grid[:, 0]:
        axes.set_ylabel("frequency (kHz)")
    figure.colorbar(image, ax=grid, label="level (dB)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def draw_curves(path: Path) -> None:
    """Loss and SI-SDR improvement, or SDR improvement of stems, of the trainings in `docs/results/curves`."""
    runs = sorted((ROOT / "docs/results/curves").glob("*.csv"))
    figure, grid = plt.subplots(
        2, len(runs), figsize=(3.4 * len(runs), 5), sharex="col", layout="constrained"
    )
    for column, run in zip(grid.T, runs, strict=True):
        with run.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        figure_name = "valid/sdri" if "songs" in run.stem else "valid/si_sdri"
        for axes, names in zip(column, (("train/loss", "valid/loss"), (figure_name,)), strict=True):
            for name in names:
                points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
                axes.plot(*zip(*points, strict=True), label=name, marker="." if "valid" in name else None)
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small")
        column[0].set_title(run.stem, fontsize="medium")
        column[-1].set_xlabel("step")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    draw_example(ROOT / "docs/images/example.png")
    draw_curves(ROOT / "docs/images/curves.png")
