"""Speed and memory of a training step of the large families, compared with their authors' code.

    python benchmarks/training_families.py htdemucs
    PYTHONPATH=PEERS python benchmarks/training_families.py roformer [--network mel] --depth 1 --seconds 2
    python benchmarks/training_families.py scnet --peers PEERS
    python benchmarks/training_families.py mdx23c --peers PEERS --channels 32 --frames 128

A step consists of the forward pass, the mean absolute error of the waveforms, the backward pass and Adam: the
originals' as PyTorch makes it by default, Soloist's in one pass over memory, as its trainings make it; with
`--plain`, both as by default. Both steps run alternately in this process, from the same weights on the same
noise. `htdemucs.py`, `roformer.py` and `mdx.py` say how the originals are installed. `--memory ours|theirs`
runs one of the two alone and prints by how much the process grew; `--recompute` computes the blocks of our
RoFormer a second time for their gradients.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mdx import MAKERS, Pair, add_peers, growth

Estimate = Callable[[Tensor], Tensor]


def make_roformer(arguments: argparse.Namespace) -> Pair:
    """RoFormer of a published width."""
    import roformer

    model = {**roformer.COMMON, **roformer.SIZES[arguments.network], "depth": arguments.depth}
    original = roformer.make_original(arguments.network, model)
    ours = roformer.make_ours(model, original.state_dict())
    ours.network.stack.recompute = arguments.recompute
    return original, ours, round(arguments.seconds * 100) * 441


def make_htdemucs(arguments: argparse.Namespace) -> Pair:
    """HTDemucs of the published size."""
    from demucs.htdemucs import HTDemucs

    from htdemucs import SIZES
    from soloist.zoo.importers.demucs import make_member

    sizes = {**SIZES, "t_dropout": 0.0}
    original = HTDemucs(**sizes)
    separator = make_member("HTDemucs", sizes, original.state_dict()).separator
    return original, separator, separator.chunk_length


def make_step(network: nn.Module, estimate: Estimate, fused: bool) -> Callable[[Tensor], float]:
    """Make a training step on a mixture `(batch, channels, samples)`, which is its own reference.

    Args:
        network: What is trained.
        estimate: Its estimates of a mixture.
        fused: Adam passes over memory once.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=fused or None)

    def step(mixture: Tensor) -> float:
        estimates = estimate(mixture)
        # An original may return a few samples less, or have no axis of sources.
        samples = min(estimates.shape[-1], mixture.shape[-1])
        reference = mixture[..., :samples] if estimates.ndim == 3 else mixture[:, None, :, :samples]
        loss = (estimates[..., :samples] - reference).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    """Print the medians and their ratio, or the growth of one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    makers = {"roformer": make_roformer, "htdemucs": make_htdemucs, **MAKERS}
    del makers["mdxnet"]
    parser.add_argument("system", choices=makers)
    add_peers(parser)
    parser.add_argument("--network", choices=["bs", "mel"], default="bs", help="which RoFormer")
    parser.add_argument("--depth", type=int, default=1, help="blocks of the RoFormer")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the RoFormer's excerpt")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--plain", action="store_true", help="Adam as PyTorch makes it, for both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", choices=["ours", "theirs"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    original, separator, samples = makers[arguments.system](arguments)
    assert isinstance(original, nn.Module)
    mixture = 0.1 * torch.randn(1, 2, samples)
    steps = {
        "theirs": make_step(original.train(), original, fused=False),
        "ours": make_step(
            separator.train(), lambda mixture: separator.predict(mixture).estimates, fused=not arguments.plain
        ),
    }
    if arguments.memory:
        print(f"{arguments.memory}: {growth(steps[arguments.memory], mixture):.0f} MB more in a step")
        return
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(arguments.rounds + 1):
        losses = {}
        for name, step in steps.items():
            begun = time.perf_counter()
            losses[name] = step(mixture)
            taken[name].append(time.perf_counter() - begun)
        print(f"step {turn}: losses {losses['theirs']:.7f}, {losses['ours']:.7f}", flush=True)
    theirs, ours = (statistics.median(times[1:]) for times in taken.values())
    print(f"original {theirs:.2f} s, Soloist {ours:.2f} s, ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
