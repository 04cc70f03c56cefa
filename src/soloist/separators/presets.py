"""Published configurations by name: separators with fresh weights, or configurations.

sudormrf_preset("improved-u16").build()
sudormrf_preset("groupcomm-u8", sources=["vocals", "rest"], sample_rate=44100, channels=2).config()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from soloist.config import configuration_of
from soloist.errors import UsageError
from soloist.networks import (
    AttentiveSuDoRMRF,
    CausalSuDoRMRF,
    GroupCommSuDoRMRF,
    MaskNetwork,
    OriginalSuDoRMRF,
    SuDoRMRF,
)
from soloist.separators.filterbank_separator import FilterbankSeparator
from soloist.transforms import LearnedFilterbank

SuDoRMRFVariant = Literal["original", "improved", "groupcomm", "causal", "attentive"]

_NETWORKS: dict[str, type[MaskNetwork]] = {
    "original": OriginalSuDoRMRF,
    "improved": SuDoRMRF,
    "groupcomm": GroupCommSuDoRMRF,
    "causal": CausalSuDoRMRF,
    "attentive": AttentiveSuDoRMRF,
}
_FILTERBANKS: dict[str, dict[str, Any]] = {
    "original": {"synthesis": "separate", "activation": "relu", "bias": True},
    "causal": {"causal": True},
}
_SEPARATORS: dict[str, dict[str, Any]] = {
    "causal": {"mode": "mapping"},
    "groupcomm": {"consistency": "uniform"},
}

# Original: sizes of the paper's table (128 channels). U36: only six resolutions give the published number
# of parameters. Attentive: defaults of the published code.
_SUDORMRF: dict[str, tuple[SuDoRMRFVariant, dict[str, int]]] = {
    "original-0.25x": ("original", {"num_blocks": 4}),
    "original-0.5x": ("original", {"num_blocks": 8}),
    "original-1.0x": ("original", {"num_blocks": 16}),
    "improved-u8": ("improved", {"num_blocks": 8}),
    "improved-u16": ("improved", {"num_blocks": 16}),
    "improved-u16-2048": ("improved", {"num_filters": 2048, "num_blocks": 16}),
    "improved-u36-2048": ("improved", {"num_filters": 2048, "channels": 512, "num_blocks": 36, "depth": 6}),
    "improved-u36-4096": ("improved", {"num_filters": 4096, "channels": 512, "num_blocks": 36, "depth": 6}),
    "groupcomm-u8": ("groupcomm", {"num_blocks": 8}),
    "groupcomm-u16": ("groupcomm", {"num_blocks": 16}),
    "causal-u16": ("causal", {"num_blocks": 16}),
    "attentive-u16": ("attentive", {"num_blocks": 16}),
}
SUDORMRF_PRESETS = tuple(_SUDORMRF)
"""Names of the published SuDoRM-RF configurations."""


@dataclass(frozen=True)
class FilterbankDesign:
    """Classes and arguments of a `FilterbankSeparator`, before it is built.

    Attributes:
        network: Class of the network.
        network_args: Arguments of the network.
        filterbank_args: Arguments of the `LearnedFilterbank`.
        separator_args: Arguments of the `FilterbankSeparator`, without its parts.
    """

    network: type[MaskNetwork]
    network_args: Mapping[str, Any] = field(default_factory=dict)
    filterbank_args: Mapping[str, Any] = field(default_factory=dict)
    separator_args: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> FilterbankSeparator:
        """The separator, with fresh weights."""
        filterbank = LearnedFilterbank(**self.filterbank_args)
        return FilterbankSeparator(filterbank, self.network(**self.network_args), **self.separator_args)

    def config(self) -> dict[str, Any]:
        """`class_path` and `init_args` of the separator, plain values only."""
        arguments = {
            "filterbank": configuration_of(LearnedFilterbank, **self.filterbank_args),
            "network": configuration_of(self.network, **self.network_args),
            **self.separator_args,
        }
        return configuration_of(FilterbankSeparator, **arguments)


def sudormrf_preset(
    name: str,
    *,
    sources: Sequence[str] = ("speaker1", "speaker2"),
    sample_rate: int = 8000,
    channels: int = 1,
    kernel_size: int = 21,
) -> FilterbankDesign:
    """A published SuDoRM-RF configuration.

    Args:
        name: One of `SUDORMRF_PRESETS`.
        sources: Names of the sources.
        sample_rate: Sample rate of the separator, Hz.
        channels: Channels of the mixture and of each estimate.
        kernel_size: Samples of a filter; published were 21 at 8000 Hz and 41 at 16000 Hz.

    Raises:
        UsageError: There is no such preset.
    """
    if name not in _SUDORMRF:
        raise UsageError(f"there is no SuDoRM-RF preset {name!r}; known are {', '.join(_SUDORMRF)}")
    variant, sizes = _SUDORMRF[name]
    if variant == "original":
        # The published number of parameters counts the unused norm.
        sizes = {**sizes, "unused_norm": True}
    return sudormrf_design(
        variant, sizes, kernel_size=kernel_size, sources=sources, sample_rate=sample_rate, channels=channels
    )


def sudormrf_design(
    variant: SuDoRMRFVariant,
    sizes: Mapping[str, Any],
    *,
    kernel_size: int = 21,
    sources: Sequence[str] = ("speaker1", "speaker2"),
    sample_rate: int = 8000,
    channels: int = 1,
    pad_multiple: int | None = None,
) -> FilterbankDesign:
    """A SuDoRM-RF separator of any size, with the filterbank of the variant.

    Args:
        variant: Name of the network.
        sizes: Arguments of the network's class, without `num_outputs`.
        kernel_size: Samples of a filter.
        sources: Names of the sources.
        sample_rate: Sample rate of the separator, Hz.
        channels: Channels of the mixture and of each estimate.
        pad_multiple: See `FilterbankSeparator`.
    """
    filterbank = {
        "num_filters": sizes.get("num_filters", 512),
        "kernel_size": kernel_size,
        "channels": channels,
        "num_sources": len(sources),
        **_FILTERBANKS.get(variant, {}),
    }
    separator = {
        "sources": list(sources),
        "sample_rate": sample_rate,
        "channels": channels,
        **_SEPARATORS.get(variant, {}),
    }
    if pad_multiple is not None:
        separator["pad_multiple"] = pad_multiple
    network = {**sizes, "num_outputs": len(sources) * channels}
    return FilterbankDesign(_NETWORKS[variant], network, filterbank, separator)
