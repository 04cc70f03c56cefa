"""Draw the pictures of the documentation: `python docs/make_pictures.py` (needs the extra `docs`)."""

from __future__ import annotations

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


if __name__ == "__main__":
    draw_example(ROOT / "docs/images/example.png")
