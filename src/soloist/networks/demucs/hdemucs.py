"""Hybrid Demucs.

A. Défossez, "Hybrid spectrogram and waveform source separation", MDX workshop at ISMIR, 2021.
"""

from __future__ import annotations

from soloist.networks.demucs.hybrid_network import HybridNetwork


class HDemucs(HybridNetwork):
    """Hybrid network with LSTM and attention in the residual branches of its deepest stages.

    The decoder begins with the skip connection of the deepest stage alone.
    """
