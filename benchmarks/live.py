"""Cost of live streams: part of a core for one, and late blocks of many in real time.

    python benchmarks/live.py MODEL [--rate 16000] [--streams 16] [--seconds 20] [--engine onnxruntime]

Pushes noise in blocks of 20 ms through `soloist.stream`: first as fast as possible, which gives the processor
time for each second of sound, for one stream and for all (the channels of one stream); then in real time,
where a block is late that is not ready when the next one comes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import soloist
from soloist.live import Punctuality

BLOCK = 0.02


def blocks(rate: int, channels: int, seconds: float) -> list[np.ndarray]:
    """Noise in blocks of 20 ms."""
    length = round(BLOCK * rate)
    noise = 0.1 * np.random.default_rng(0).standard_normal((round(seconds / BLOCK), channels, length))
    return list(noise.astype(np.float32))


def load(stream: soloist.StemStream, sound: list[np.ndarray]) -> float:
    """Processor time for each second of sound."""
    for block in sound[:20]:
        stream.push(block)
    begun = time.process_time()
    for block in sound:
        stream.push(block)
    return (time.process_time() - begun) / (len(sound) * BLOCK)


def in_real_time(stream: soloist.StemStream, sound: list[np.ndarray]) -> Punctuality:
    """Push blocks when they would come."""
    punctuality, begun = Punctuality(), time.monotonic()
    for number, block in enumerate(sound, 1):
        left = begun + number * BLOCK - time.monotonic()
        time.sleep(max(0.0, left))
        punctuality.begin(BLOCK, waited=left > 0)
        stream.push(block)
        punctuality.end()
    return punctuality


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rate", type=int, default=16000)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--engine", default="auto")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for channels in (1, given.streams):
        stream = soloist.stream(given.model, given.rate, channels, engine=given.engine)
        sound = blocks(given.rate, channels, given.seconds)
        behind = 1000 * stream.latency / given.rate
        part = load(stream, sound[: round(10 / BLOCK)])
        print(f"{channels} streams, {behind:.1f} ms behind: {part:.1%} of a core, {part / channels:.2%} each")
        timed = in_real_time(stream, sound)
        print(f"  {given.seconds:g} s in real time: {timed.dropped} of {len(sound)} blocks late")


if __name__ == "__main__":
    main()
