"""Hybrid Transformer Demucs.

S. Rouard, F. Massa and A. Défossez, "Hybrid transformers for music source separation", ICASSP 2023.
"""

from __future__ import annotations

from torch import Tensor

from soloist.networks.demucs.cross_transformer import CrossTransformer, CrossTransformerDesign
from soloist.networks.demucs.hybrid_network import HybridDesign, HybridNetwork, plan_stages


class HTDemucs(HybridNetwork):
    """Hybrid network with a transformer between encoder and decoder.

    Args:
        design: Sizes of encoder and decoder.
        transformer: Sizes of the transformer.

    Raises:
        UsageError: The sizes do not fit together.
    """

    def __init__(self, design: HybridDesign, transformer: CrossTransformerDesign) -> None:
        super().__init__(design)
        channels = plan_stages(design)[-1].outputs
        self.transformer = CrossTransformer(channels, transformer) if transformer.layers else None

    def bottleneck(self, x: Tensor, xt: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Apply the transformer; shapes as in `HybridNetwork.bottleneck`."""
        return (x, xt) if self.transformer is None else self.transformer(x, xt)
