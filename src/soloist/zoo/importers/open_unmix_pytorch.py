"""Open-Unmix (github.com/sigsep/open-unmix-pytorch) and X-UMX (as published with Asteroid).

A published Open-Unmix is several files, one for each source. Their state dicts arrive as one, with the source
in front of each name: `vocals.fc1.weight`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from soloist.errors import ModelError
from soloist.separators import SpectralSeparator, build_separator
from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights

CHUNK_FRAMES = 600
"""Frames of a chunk, beyond which the networks do not see: two windows of the filter."""

_WINDOW = 300

# Not all files store hop and rate: these are the published ones for a length of the window.
_RATES = {4096: 44100, 1024: 16000}
_HOPS = {4096: 1024, 1024: 512}

_CARDS = {
    "OpenUnmix": {
        "system": "Open-Unmix",
        "licence": {"code": "MIT"},
        "citation": (
            "Fabian-Robert Stöter, Stefan Uhlich, Antoine Liutkus, Yuki Mitsufuji. Open-Unmix - A Reference "
            "Implementation for Music Source Separation. Journal of Open Source Software 4(41), 2019."
        ),
    },
    "CrossNetOpenUnmix": {
        "system": "X-UMX",
        "licence": {"code": "MIT"},
        "citation": (
            "Ryosuke Sawata, Stefan Uhlich, Shusuke Takahashi, Yuki Mitsufuji. All for One and One for All: "
            "Improving Music Separation by Bridging Networks. ICASSP 2021."
        ),
    },
}

_RENAMED = {
    "fc1": "encoders.{}.dense.linear",
    "bn1": "encoders.{}.dense.norm",
    "lstm": "lstms.{}",
    "fc2": "decoders.{}.dense.linear",
    "bn2": "decoders.{}.dense.norm",
    "fc3": "decoders.{}.head.linear",
    "bn3": "decoders.{}.head.norm",
    "input_mean": "encoders.{}.whitening.shift",
    "input_scale": "encoders.{}.whitening.scale",
    "output_mean": "decoders.{}.shift",
    "output_scale": "decoders.{}.scale",
}

# Names of these layers in an X-UMX.
_CROSSED = [
    (r"^layer_enc\.(.+)\.enc\.0\.", r"\1.fc1."),
    (r"^layer_enc\.(.+)\.enc\.1\.", r"\1.bn1."),
    (r"^layer_lstm\.(.+)\.(?=[^.]+$)", r"\1.lstm."),
    (r"^layer_dec\.(.+)\.dec\.0\.", r"\1.fc2."),
    (r"^layer_dec\.(.+)\.dec\.1\.", r"\1.bn2."),
    (r"^layer_dec\.(.+)\.dec\.3\.", r"\1.fc3."),
    (r"^layer_dec\.(.+)\.dec\.4\.", r"\1.bn3."),
    (r"^mean_scale\.((?:input|output)_(?:mean|scale))_(.+)$", r"\2.\1"),
]


class OpenUnmixImporter(Importer):
    """Importer of Open-Unmix and X-UMX."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of the files of several sources, of a whole separator, or of an X-UMX.

        One source alone is masked, and not filtered.

        Raises:
            ModelError: The names are of this code base, but the networks are unknown or differ in size.
        """
        parts = _by_source(checkpoint.state)
        if not parts:
            return None
        crossed = any(name.startswith("layer_enc.") for name in checkpoint.state)
        kind = "CrossNetOpenUnmix" if crossed else "OpenUnmix"
        config = _config(kind, parts)
        separator = build_separator(config, f"the configuration of {kind}")
        assert isinstance(separator, SpectralSeparator)
        load_weights(separator.network, translate(list(parts.values())), kind)
        title = f"{', '.join(separator.sources).capitalize()}, by recurrent networks on magnitudes"
        return ImportedModel(separator, config, {**_CARDS[kind], "title": title})


def translate(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Make the state dict of an `OpenUnmix` from those of its sources under the original's names."""
    ours = {}
    for index, part in enumerate(parts):
        for name, value in part.items():
            layer, _, rest = name.partition(".")
            # The original stores windows and rates as well.
            if layer in _RENAMED:
                renamed = ".".join(filter(None, [_RENAMED[layer].format(index), rest]))
                ours[renamed] = value[None] if layer.startswith("input_") else value
    return ours


class _Sizes(NamedTuple):
    """Sizes of the network of a source, from the shapes of its weights."""

    hidden: int
    layers: int
    channels: int
    bins: int
    input_bins: int
    rate: int
    bidirectional: bool

    @classmethod
    def of(cls, part: Mapping[str, Tensor]) -> _Sizes:
        """Read the sizes."""
        bins = len(part["output_mean"])
        stored = int(part["sample_rate"]) if "sample_rate" in part else None
        return cls(
            hidden=len(part["fc1.weight"]),
            layers=sum(re.fullmatch(r"lstm\.weight_ih_l\d+", name) is not None for name in part),
            channels=len(part["fc3.weight"]) // bins,
            bins=bins,
            input_bins=len(part["input_mean"]),
            rate=stored or _RATES.get(2 * (bins - 1), 44100),
            bidirectional="lstm.weight_ih_l0_reverse" in part,
        )


def _by_source(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """State dict of each source, by its name; empty for another code base."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        for pattern, replacement in _CROSSED:
            name = re.sub(pattern, replacement, name)
        source, _, rest = name.removeprefix("target_models.").partition(".")
        parts.setdefault(source, {})[rest] = torch.as_tensor(value)
    telling = {"fc1.weight", "fc3.weight", "input_mean", "output_mean"}
    return {source: part for source, part in parts.items() if telling <= part.keys()}


def _config(kind: str, parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    sizes, *others = {_Sizes.of(part) for part in parts.values()}
    if others:
        raise ModelError(f"the networks of {', '.join(parts)} differ in size, so they are not of one model")
    n_fft = 2 * (sizes.bins - 1)
    return {
        "class_path": "soloist.separators.SpectralSeparator",
        "init_args": {
            "sources": list(parts),
            "sample_rate": sizes.rate,
            "channels": sizes.channels,
            "representation": "magnitude",
            "mode": "masking",
            "chunk_frames": CHUNK_FRAMES,
            "wiener": {"iterations": 1, "window": _WINDOW} if len(parts) > 1 else None,
            "transform": {
                "class_path": "soloist.transforms.STFT",
                "init_args": {"n_fft": n_fft, "hop_length": _HOPS.get(n_fft, n_fft // 4)},
            },
            "network": {
                "class_path": f"soloist.networks.{kind}",
                "init_args": {
                    "num_sources": len(parts),
                    "channels": sizes.channels,
                    "num_bins": sizes.bins,
                    "num_input_bins": sizes.input_bins,
                    "hidden_size": sizes.hidden,
                    "layers": sizes.layers,
                    "bidirectional": sizes.bidirectional,
                },
            },
        },
    }
