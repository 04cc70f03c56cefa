"""Speed of networks in bfloat16 against float32, end to end on one segment, and the difference in dB.

    python benchmarks/precision.py [open-unmix scnet htdemucs mel-roformer] [--threads 2] [--rounds 3]

Both run in turns in this process, with the same random weights, on one segment of noise; Mel-RoFormer has two
of its six blocks. The difference is the level of the estimates' difference relative to the mixture: random
weights tell whether numbers get lost, and `soloist tune` measures it with those of a model.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from soloist.inference import make_engine
from soloist.networks import OpenUnmix
from soloist.separators import Separator, SpectralSeparator, build_separator
from soloist.transforms import STFT
from soloist.zoo.importers import demucs, roformer, scnet

MEL = {
    "dim": 384,
    "depth": 2,
    "num_bands": 60,
    "sample_rate": 44100,
    "stereo": True,
    "num_stems": 1,
    "mask_estimator_depth": 2,
    "stft_n_fft": 2048,
    "stft_hop_length": 441,
}
HTDEMUCS = {"sources": ["drums", "bass", "other", "vocals"], "bottom_channels": 512, "segment": 7.8}
SCNET = {"model": {"sources": ["drums", "bass", "other", "vocals"]}}


def make_open_unmix() -> Separator:
    """Open-Unmix of four sources, 6 s."""
    return SpectralSeparator(
        STFT(4096, 1024),
        OpenUnmix(),
        sources=HTDEMUCS["sources"],
        sample_rate=44100,
        channels=2,
        representation="magnitude",
        mode="masking",
        chunk_frames=256,
    )


def make(name: str) -> Separator:
    """Build a separator with random weights."""
    torch.manual_seed(0)
    if name == "open-unmix":
        return make_open_unmix()
    if name == "scnet":
        config = scnet.from_options(SCNET, {})
    elif name == "htdemucs":
        config = demucs.separator_config("HTDemucs", HTDEMUCS)
    else:
        config = roformer.separator_config(MEL, ["vocals"], 44100, 801)
    return build_separator(config, name)


def measure(name: str, rounds: int) -> str:
    """A row of the table."""
    separator = make(name).eval()
    mixture = 0.1 * torch.randn(1, separator.channels, separator.chunk_length)
    engines = {
        each: make_engine("torch", separator, "cpu", precision=each) for each in ("float32", "bfloat16")
    }
    estimates = {each: engine(mixture) for each, engine in engines.items()}
    seconds: dict[str, list[float]] = {each: [] for each in engines}
    for _ in range(rounds):
        for each, engine in engines.items():
            begun = time.perf_counter()
            engine(mixture)
            seconds[each].append(time.perf_counter() - begun)
    exact, near = (statistics.median(times) for times in seconds.values())
    power = (estimates["bfloat16"] - estimates["float32"]).square().mean() / mixture.square().mean()
    length = mixture.shape[-1] / separator.sample_rate
    return (
        f"| {name}, {length:.1f} s | {exact:.2f} s | {near:.2f} s | {near / exact:.2f} "
        f"| {10 * float(power.log10()):.0f} dB |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ["open-unmix", "scnet", "htdemucs", "mel-roformer"]
    parser.add_argument("networks", nargs="*", default=known)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.networks:
        print(measure(name, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
