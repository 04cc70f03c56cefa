"""One small separator of each family, with weights that were as if trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from soloist.estimation import RatioMask
from soloist.networks import (
    DTLN,
    GTCRN,
    TDC,
    TDCRNN,
    TFC,
    TFCTDF,
    ULUNAS,
    Autoencoder,
    Bandit,
    BiLSTM,
    BranchDesign,
    BSRoFormer,
    ComplexLevel,
    ComplexUNet,
    ConvRecurrentNetwork,
    ConvTasNet,
    ConvTDFNet,
    CrossTransformerDesign,
    DeMask,
    Demucs,
    DemucsDesign,
    DPTNet,
    DualPathRNN,
    GatedDualPathRNN,
    HDemucs,
    HTDemucs,
    HybridDesign,
    MelBandRoFormer,
    OpenUnmix,
    PathAttention,
    RecurrentNetwork,
    ResourceEfficientSepFormer,
    RoFormerDesign,
    SCNet,
    SepFormer,
    SpectrogramNet,
    SpectrogramNetLSTM,
    SpleeterUNet,
    TasNet,
    TFCTDFv3,
    UnasBlock,
    UNet,
)
from soloist.separators import (
    ClusteringSeparator,
    FilterbankSeparator,
    HybridSeparator,
    Separator,
    SliCQSeparator,
    SpectralSeparator,
    WaveformSeparator,
    sudormrf_design,
)
from soloist.transforms import (
    STFT,
    Framing,
    FreeFilterbank,
    HalfHopSTFT,
    LearnedFilterbank,
    SliCQ,
    SliCQMatrix,
)

SAMPLE_RATE = 8000

_COMMON = {"sources": ["low", "high"], "sample_rate": SAMPLE_RATE, "channels": 1}


def _sudormrf(variant, **sizes):
    small = {"num_filters": 16, "channels": 8, "hidden_channels": 12, "num_blocks": 1, "depth": 3}
    return sudormrf_design(variant, {**small, **sizes}, kernel_size=21).build()


def _unet(block, **sizes):
    network = UNet(
        block, input_channels=2, output_channels=4, internal_channels=4, num_blocks=3, num_bins=33, **sizes
    )
    return SpectralSeparator(STFT(64, 32), network, **_COMMON)


def _complex(network, mode="mapping", **stft):
    return SpectralSeparator(STFT(64, 16, **stft), network, plane_order="channels", mode=mode, **_COMMON)


def _tfc_tdf_v3(**options):
    sizes = {"num_bins": 33, "num_input_bins": 32, "num_subbands": 2, "internal_channels": 4, "growth": 2}
    return _complex(TFCTDFv3(2, 4, num_scales=2, blocks_per_scale=1, **sizes, **options))


def _conv_tdf_net(**options):
    sizes = {"num_input_bins": 24, "num_muted_bins": 2, "num_blocks": 5, "growth": 2, "layers": 1}
    network = ConvTDFNet(2, num_bins=33, bottleneck_factor=4, **sizes, **options)
    return SpectralSeparator(STFT(64, 16), network, **{**_COMMON, "sources": ["low"]})


def _scnet(mode="mapping", **options):
    sizes = {"dims": (2, 6, 8), "num_bins": 33, "band_strides": (1, 2, 4), "band_kernels": (3, 2, 4)}
    network = SCNet(2, conv_depths=(1, 1, 1), compress=2, num_dual_paths=2, **sizes, **options)
    return _complex(network, mode, orthonormal=True)


def _roformer(network, polar=False, linear_layers=0, **sizes):
    blocks = RoFormerDesign(
        dim=8, depth=2, heads=2, head_dim=4, polar=polar, linear_layers=linear_layers, skips=True
    )
    return _complex(network(2, 4, blocks=blocks, mask_expansion=1, **sizes), "complex_masking")


def _masking(network):
    return SpectralSeparator(STFT(64, 16), network, representation="magnitude", mode="masking", **_COMMON)


_ERB = {"num_bins": 33, "num_kept": 9, "num_bands": 8, "sample_rate": SAMPLE_RATE}


def _enhancement(network, **options):
    return SpectralSeparator(STFT(64, 32), network, **{**_COMMON, "sources": ["speech"]}, **options)


def _ulunas():
    blocks = [
        UnasBlock("full", 4, (3, 3), 2),
        UnasBlock("inverted", 8, (2, 3), 2, 2),
        UnasBlock("inverted", 8, (2, 3), 1, 2),
        UnasBlock("separable", 8, (1, 3), 1, 2),
    ]
    return _enhancement(ULUNAS(blocks, **_ERB), representation="magnitude", mode="masking")


def _dtln():
    return FilterbankSeparator(
        Framing(64, 16),
        DTLN(64, 12, 8),
        sources=["speech"],
        ordered=True,
        mode="mapping",
        normalization="none",
        sample_rate=SAMPLE_RATE,
    )


def _auralflow(network, **sizes):
    return _masking(network(1, 2, num_bins=33, hidden_channels=2, **sizes))


def _spleeter():
    network = SpleeterUNet(2, 1, num_bins=33, num_input_bins=20, num_frames=16, filters=(3, 4, 5))
    return SpectralSeparator(
        STFT(64, 16, extent="full"),
        network,
        **_COMMON,
        representation="magnitude",
        mode="masking",
        chunk_frames=16,
        wiener=RatioMask(num_bins=20, extension="zeros"),
        partitioned=True,
    )


def _matrix():
    network = UNet(
        TFCTDF(1), input_channels=2, output_channels=4, internal_channels=4, num_blocks=3, num_bins=17
    )
    return SpectralSeparator(SliCQMatrix("bark", 16, 200.0, sample_rate=SAMPLE_RATE), network, **_COMMON)


def _slicq(network):
    transform = SliCQ("bark", 24, 80.0, sample_rate=SAMPLE_RATE)
    return SliCQSeparator(transform, network, bandwidth=1200.0, **_COMMON)


def _clustering():
    network = RecurrentNetwork(1, 5, num_bins=33, hidden_size=8, layers=2)
    return ClusteringSeparator(STFT(64, 16, scaled=True), network, embedding_size=5, **_COMMON)


_BRANCHES = BranchDesign(compression=4, lstm_from=2, attention_from=2)


def _hybrid(network, **sizes):
    design = HybridDesign(
        2, 1, 2, num_bins=128, channels=8, depth=3, norm_from=2, branches=_BRANCHES, **sizes
    )
    arguments = [CrossTransformerDesign(16, 2, 2, 2.0)] if network is HTDemucs else []
    return HybridSeparator(HalfHopSTFT(256), network(design, *arguments), chunk_length=4000, **_COMMON)


def _demucs():
    design = DemucsDesign(1, 2, channels=8, depth=3, norm_from=2, branches=_BRANCHES)
    return WaveformSeparator(Demucs(design), chunk_length=4000, **_COMMON)


def _bins(network, mode):
    bank = FreeFilterbank(64, 64, 32, num_sources=1, kind="stft")
    options = {"normalization": "none", "pad_multiple": 1, "ordered": True, "sources": ["speech"]}
    return FilterbankSeparator(bank, network, sample_rate=SAMPLE_RATE, mode=mode, **options)


def _complex_unet(**options):
    frames = 2 if options else 3
    levels = [ComplexLevel(2, 0, (5, frames), (2, 1)), ComplexLevel(4, 2, (5, frames), (2, 1))]
    return _bins(ComplexUNet(levels, 33, **options), "mapping")


def _unpadded(network, filters=16, kind="free"):
    bank = FreeFilterbank(filters, 16, 8, kind=kind)
    return FilterbankSeparator(bank, network, sample_rate=SAMPLE_RATE, normalization="none", pad_multiple=1)


def _filterbank(network, kernel_size=16):
    return FilterbankSeparator(LearnedFilterbank(32, kernel_size), network, sample_rate=SAMPLE_RATE)


FAMILIES: dict[str, Callable[[], Separator]] = {
    "sudormrf-improved": lambda: _sudormrf("improved"),
    "sudormrf-original": lambda: _sudormrf("original"),
    "sudormrf-groupcomm": lambda: _sudormrf("groupcomm", num_groups=2),
    "sudormrf-causal": lambda: _sudormrf("causal"),
    "sudormrf-attentive": lambda: _sudormrf("attentive", num_heads=2, head_size=8),
    "unet-tfc": lambda: _unet(TFC(2)),
    "unet-tdc": lambda: _unet(TDC(2), time_levels=[]),
    "unet-tfc-tdf": lambda: _unet(TFCTDF(2)),
    "unet-tdc-rnn": lambda: _unet(TDCRNN(2)),
    "unet-tfc-tdf-slicq": _matrix,
    "tfc-tdf-v3": _tfc_tdf_v3,
    "tfc-tdf-v3-batch": lambda: _tfc_tdf_v3(norm="batch", activation="relu", scale=(1, 2)),
    "conv-tdf-net": _conv_tdf_net,
    "conv-tdf-net-group": lambda: _conv_tdf_net(norm_groups=2),
    "scnet": _scnet,
    "scnet-masked": lambda: _scnet("complex_masking", masked=True),
    "scnet-attentive": lambda: _scnet(attention=PathAttention(1, 2, 4), normalized=True),
    "bs-roformer": lambda: _roformer(BSRoFormer, bands=(4, 4, 8, 17)),
    "bs-roformer-polar": lambda: _roformer(BSRoFormer, bands=(4, 4, 8, 17), polar=True, linear_layers=1),
    "mel-band-roformer": lambda: _roformer(
        MelBandRoFormer, num_bins=33, sample_rate=SAMPLE_RATE, num_bands=6
    ),
    "bandit": lambda: _complex(
        Bandit(
            2,
            num_bins=33,
            num_bands=7,
            sample_rate=SAMPLE_RATE,
            dim=6,
            hidden_size=5,
            depth=1,
            mask_features=7,
        ),
        "complex_masking",
        orthonormal=True,
    ),
    "open-unmix": lambda: _masking(OpenUnmix(2, 1, num_bins=33, num_input_bins=20, hidden_size=8, layers=2)),
    "spleeter": _spleeter,
    "spectrogram-net": lambda: _auralflow(SpectrogramNet),
    "spectrogram-net-lstm": lambda: _auralflow(SpectrogramNetLSTM, hidden_size=4, recurrent_layers=1),
    "xumx-slicq": lambda: _slicq(Autoencoder((2, 3))),
    "xumx-slicq-lstm": lambda: _slicq(BiLSTM(1)),
    "mask-inference": lambda: _masking(RecurrentNetwork(1, 2, num_bins=33, hidden_size=8, layers=2)),
    "clustering": _clustering,
    "conv-tasnet": lambda: _filterbank(ConvTasNet(32, 8, 16, 8, 3, 2, 1)),
    "complex-unet": _complex_unet,
    "complex-unet-recurrent": lambda: _complex_unet(hidden_size=4),
    "demask": lambda: _bins(DeMask(33, (16,), norm="frame"), "masking"),
    "conv-tasnet-stft": lambda: _unpadded(ConvTasNet(18, 8, 12, 0, 3, 2, 1, norm="frame"), kind="stft"),
    "dual-path-gated": lambda: _unpadded(GatedDualPathRNN(16, 8, 6, 1, 12, 4, multiplied=True)),
    "dptnet": lambda: _unpadded(DPTNet(18, 4, 6, 1, 12), 18, "mirrored"),
    "sepformer": lambda: _unpadded(SepFormer(16, 8, 1, 10, 2, 1, 1, 2, 12)),
    "resepformer": lambda: _unpadded(ResourceEfficientSepFormer(16, 2, 10, 2, 1, 1, 2, 12)),
    "dual-path": lambda: _filterbank(DualPathRNN(32, 8, 8, 1, 10)),
    "htdemucs": lambda: _hybrid(HTDemucs),
    "hdemucs": lambda: _hybrid(HDemucs),
    "demucs": _demucs,
    "gtcrn": lambda: _enhancement(GTCRN(**_ERB, channels=8, dilations=(1, 2)), mode="complex_masking"),
    "ulunas": _ulunas,
    "dtln": _dtln,
    "conv-recurrent": lambda: _enhancement(
        ConvRecurrentNetwork(33, (4, 6), squeezed=2, hidden_size=8),
        representation="magnitude",
        mode="masking",
    ),
    "tasnet": lambda: _filterbank(TasNet(32, 8, 2)),
}
"""A separator of each family, by the name of its network; one channel at `SAMPLE_RATE`."""


def make_family(name: str) -> Separator:
    """A separator, the same at each call, in eval mode."""
    torch.manual_seed(0)
    separator = FAMILIES[name]().eval()
    for module in separator.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    for parameter in separator.parameters():
        # Gains and shifts that begin at zero would hide what they weigh.
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return separator
