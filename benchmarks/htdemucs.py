"""Speed of HTDemucs at its published size, compared with the authors' package.

    python benchmarks/htdemucs.py [--engines torch openvino onnxruntime] [--precision bfloat16]
        [--threads 2] [--rounds 5]

Both run alternately in this process, with the same weights, on one segment of 7.8 s. Prints for each engine
the medians, the median of the ratios of the pairs, and the largest difference of the outputs. Needs an
environment with the packages demucs 4.1.0, julius, openunmix, lameenc, dora-search, omegaconf, retrying,
treetable, submitit, cloudpickle and antlr4-python3-runtime 4.9, installed with `--no-deps`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from fractions import Fraction
from typing import Any

import torch
from demucs.htdemucs import HTDemucs

from soloist.inference import make_engine
from soloist.zoo.importers.demucs import make_member

SIZES: dict[str, Any] = {
    "sources": ["drums", "bass", "other", "vocals"],
    "samplerate": 44100,
    "segment": Fraction(39, 5),
    "dconv_mode": 3,
    "bottom_channels": 512,
    "t_dropout": 0.02,
}


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", nargs="+", default=["torch"])
    parser.add_argument("--precision", default="float32", help="of Soloist's engines")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    original = HTDemucs(**SIZES).eval()
    separator = make_member("HTDemucs", SIZES, original.state_dict()).separator
    mixture = 0.1 * torch.randn(1, 2, separator.chunk_length)
    expected = original(mixture)
    for name in options.engines:
        engine = make_engine(name, separator, "cpu", precision=options.precision)
        difference = (engine(mixture) - expected).abs().max() / expected.abs().max()
        pairs = []
        for _ in range(options.rounds):
            begin = time.perf_counter()
            original(mixture)
            middle = time.perf_counter()
            engine(mixture)
            pairs.append((middle - begin, time.perf_counter() - middle))
        theirs, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(mine / its for its, mine in pairs)
        print(
            f"{name}: original {theirs:.2f} s, soloist {ours:.2f} s, ratio {ratio:.3f}, "
            f"largest difference {difference:.1e} of the peak"
        )


if __name__ == "__main__":
    main()
