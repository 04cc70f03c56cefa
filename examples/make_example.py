"""Make the example recording: a song of the synthetic band, its stems and their sum, as 16-bit FLAC.

The mixture is the sum of the stems after rounding to 16 bits, so that the stems add up exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from soloist.datasets import synthesize_band

FOLDER = Path(__file__).resolve().parent / "band"
SAMPLE_RATE = 44100
DURATION = 12.0  # seconds
SEED = 12


def make_tracks() -> dict[str, NDArray[np.int16]]:
    """Synthesise the stems and the mixture by name, each `(samples, 2)`."""
    stems = synthesize_band(DURATION, sample_rate=SAMPLE_RATE, seed=SEED)
    tracks = {name: np.round(stem.T * 32767).astype(np.int16) for name, stem in stems.items()}
    return {"mixture": sum(tracks.values(), np.zeros_like(tracks["vocals"])), **tracks}


def main() -> None:
    """Write `examples/band/*.flac`."""
    FOLDER.mkdir(exist_ok=True)
    for name, track in make_tracks().items():
        soundfile.write(FOLDER / f"{name}.flac", track, SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
