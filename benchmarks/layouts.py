"""Time of public functions on signals, by the layout of the signals in memory.

    python benchmarks/layouts.py [--seconds 10] [--runs 5] [--only bss_eval]

The samples are the same, the arrays differ: contiguous `(channels, samples)`, the transpose of
`(samples, channels)` as soundfile reads it, every other sample of a longer array, and each of these in double
precision. Times are processor times of the whole process, the fastest run, with one thread of PyTorch; the
columns are their ratios to the contiguous array of the same precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

import soloist
from soloist.audio import StreamResampler, resample_audio
from soloist.estimation import align_sources
from soloist.evaluation import score_estimates
from soloist.losses import SISDR, MultiResolutionSTFT, Prediction, WaveformLoss
from soloist.metrics import bss_eval, chunked_sdr, sd_sdr, sdr, si_sdr
from soloist.transforms import STFT, SliCQ

RATE, SOURCES, CHANNELS = 44100, 4, 2

Call = Callable[[Tensor, Tensor], object]


def transposed(signals: Tensor) -> Tensor:
    """The same samples with the channels next to each other in memory."""
    return signals.transpose(-1, -2).contiguous().transpose(-1, -2)


def strided(signals: Tensor) -> Tensor:
    """The same samples as every other one of a longer array."""
    return torch.stack([signals, signals], dim=-1)[..., 0]


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda signals: signals,
    "transposed": transposed,
    "strided": strided,
}


def _stream(references: Tensor, _: Tensor) -> None:
    with soloist.stream("hpss", RATE, CHANNELS) as stream:
        stream.push(references[0].numpy())
        stream.finish()


def _score(references: Tensor, estimates: Tensor) -> object:
    names = "abcd"
    return score_estimates(
        dict(zip(names, references.numpy(), strict=True)),
        dict(zip(names, estimates.numpy(), strict=True)),
        RATE,
    )


def _loss(loss: Callable[[Prediction, Tensor], Tensor]) -> Call:
    return lambda references, estimates: loss(
        Prediction(references.sum(dim=0)[None], lambda: estimates[None]), references[None]
    )


def calls() -> dict[str, Call]:
    """Functions of references and estimates `(sources, channels, samples)`, by name."""
    stft, slicq = STFT(2048, 512), SliCQ(sample_rate=RATE)
    return {
        "soloist.separate": lambda r, e: soloist.separate(r[0].numpy(), RATE, model="hpss"),
        "soloist.stream": _stream,
        "Separator, hpss": lambda r, e: soloist.load("hpss", sample_rate=RATE, channels=CHANNELS)(r[:1]),
        "metrics.bss_eval": lambda r, e: bss_eval(r, e, window=RATE, hop=RATE),
        "metrics.sdr": sdr,
        "metrics.si_sdr": si_sdr,
        "metrics.sd_sdr": sd_sdr,
        "metrics.chunked_sdr": lambda r, e: chunked_sdr(r, e, chunk_length=RATE),
        "evaluation.score_estimates": _score,
        "losses.SISDR": _loss(SISDR()),
        "losses.WaveformLoss": _loss(WaveformLoss()),
        "losses.MultiResolutionSTFT": _loss(MultiResolutionSTFT()),
        "transforms.STFT": lambda r, e: stft.inverse(stft(r), r.shape[-1]),
        "transforms.SliCQ": lambda r, e: slicq.inverse(slicq(r), r.shape[-1]),
        "estimation.align_sources": lambda r, e: align_sources(e[None], r[None], slice(0, r.shape[-1])),
        "audio.resample_audio": lambda r, e: resample_audio(r[0].numpy(), RATE, 48000),
        "audio.StreamResampler": lambda r, e: StreamResampler(RATE, 48000, CHANNELS).process(r[0].numpy()),
    }


def fastest(call: Call, signals: tuple[Tensor, Tensor], runs: int) -> float:
    """Processor time of the fastest of some runs, s."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        call(*signals)
        times.append(time.process_time() - begun)
    return min(times)


def make_signals(seconds: float) -> tuple[Tensor, Tensor]:
    """Make references `(sources, channels, samples)` of noise, and estimates that leak; double precision."""
    generator = np.random.default_rng(0)
    references = torch.from_numpy(0.1 * generator.standard_normal((SOURCES, CHANNELS, round(seconds * RATE))))
    return references, references + 0.1 * references.roll(1, dims=0)


def main() -> None:
    """Measure, and print a row for each function."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="functions with this in their names")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    signals = make_signals(arguments.seconds)
    print("| function | single | transposed | strided | double | transposed | strided |")
    print("|---|---|---|---|---|---|---|")
    for name, call in calls().items():
        if arguments.only not in name:
            continue
        cells = [name]
        for precision in (torch.float32, torch.float64):
            times = []
            for layout in LAYOUTS.values():
                laid = tuple(layout(signal.to(precision)) for signal in signals)
                try:
                    times.append(fastest(call, (laid[0], laid[1]), arguments.runs))
                except (RuntimeError, ValueError) as error:
                    times.append(float("nan"))
                    print(f"{name}, {precision}: {type(error).__name__}: {error}"[:160])
            cells += [f"{1000 * times[0]:.0f} ms", *(f"{other / times[0]:.2f}" for other in times[1:])]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
