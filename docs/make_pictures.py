"""Draw the pictures of the documentation: `python docs/make_pictures.py` (needs the extra `docs`)."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from soloist import separate
from soloist.audio import read_audio
from soloist.plots import draw_curves, save_figure
from soloist.training.watch.metrics_file import read_rows
from soloist.transforms import STFT

ROOT = Path(__file__).resolve().parents[1]
FLOOR_DB = -70.0


def draw_spectrogram(axes: Axes, audio: NDArray[np.float32], sample_rate: int, title: str) -> AxesImage:
    """Spectrogram of the mean of all channels `(channels, samples)`, dB relative to a full-scale sinusoid."""
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
    """Draw the example recording, its reference vocals, and the estimate of the default model."""
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


def draw_all_curves(path: Path) -> None:
    """Draw loss and SI-SDR or SDR improvement of the trainings in `docs/results/curves`."""
    runs = {
        run.stem: (read_rows(run)[1], "valid/sdri" if "songs" in run.stem else "valid/si_sdri")
        for run in sorted((ROOT / "docs/results/curves").glob("*.csv"))
    }
    save_figure(draw_curves(runs), path)


def draw_peers(path: Path) -> None:
    """Draw time and memory of Soloist as parts of those of its peers, from `docs/results/peers.csv`."""
    table = pd.read_csv(ROOT / "docs/results/peers.csv")
    pairs = list(dict.fromkeys(zip(table["row"], table["peer"], strict=True)))
    figure, panels = plt.subplots(1, 2, figsize=(11, 0.7 * len(pairs) + 1), sharey=True, layout="constrained")
    for axes, column in zip(panels, ("time", "memory"), strict=True):
        for precision, shift in (("float32", -0.18), ("bfloat16", 0.18)):
            lines = table[table["precision"] == precision]
            places = [pairs.index(pair) + shift for pair in zip(lines["row"], lines["peer"], strict=True)]
            axes.bar_label(axes.barh(places, lines[column], 0.34, label=precision), fmt="%.2f", padding=3)
        axes.axvline(1.0, color="black", linewidth=1)
        axes.set(title=f"{column}, part of the peer's", xlim=(0, 1.4))
    panels[0].set_yticks(range(len(pairs)), [f"{row.partition(',')[0]}\n{peer}" for row, peer in pairs])
    panels[0].invert_yaxis()
    panels[1].legend(loc="lower right")
    figure.savefig(path, dpi=100)


def draw_separation(path: Path, model: str, corpus: str) -> None:
    """Draw the separation of two talkers who say digits, like `soloist visualize`."""
    with TemporaryDirectory() as folder:
        command = ["soloist", "visualize", model, "--data.root", corpus, "-o", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shutil.copyfile(Path(folder) / "picture.png", path)


def main() -> None:
    """Draw the pictures that need only the repository, and the requested ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", nargs=2, metavar=("MODEL", "CORPUS"), help="draw a separation of digits")
    arguments = parser.parse_args()
    draw_example(ROOT / "docs/images/example.png")
    draw_all_curves(ROOT / "docs/images/curves.png")
    draw_peers(ROOT / "docs/images/peers.png")
    if arguments.digits:
        draw_separation(ROOT / "docs/images/digits.png", *arguments.digits)


if __name__ == "__main__":
    main()
