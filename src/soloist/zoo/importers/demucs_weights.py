"""Names and shapes of Demucs's weights, translated into Soloist's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from soloist.networks import Demucs, HybridNetwork

_ENCODER = {
    "conv": "down.conv",
    "norm1": "norm",
    "dconv": "branches",
    "rewrite": "rewrite.conv",
    "norm2": "rewrite.norm",
}
_DECODER = {
    "rewrite": "rewrite.conv",
    "norm1": "rewrite.norm",
    "dconv": "branches",
    "conv_tr": "up.conv",
    "norm2": "up.norm",
}
"""Layers of a stage of the hybrid networks."""

_MERGING = {"conv": "conv", "conv_tr": "conv", "norm2": "norm"}
"""Layers of the waveform's stage that merges into the spectrogram's, or leaves it."""

_LAYERS = {
    "self_attn.in_proj_weight": "projection.weight",
    "self_attn.in_proj_bias": "projection.bias",
    "self_attn.out_proj": "output",
    "cross_attn.in_proj_weight": "projection.weight",
    "cross_attn.in_proj_bias": "projection.bias",
    "cross_attn.out_proj": "output",
    "linear1": "widen",
    "linear2": "narrow",
    "norm1": "norm",
    "norm_out": "norm_out",
}
"""Parts of a layer of the transformer, apart from the norms whose role depends on the kind of layer."""

_PROJECTIONS = {
    "channel_upsampler": "widen",
    "channel_upsampler_t": "widen_time",
    "channel_downsampler": "narrow",
    "channel_downsampler_t": "narrow_time",
}


def translate(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights under the names of a network of Soloist's.

    Args:
        state: Weights under the authors' names.
        network: The network.
    """
    weights = {name: torch.as_tensor(value) for name, value in state.items()}
    if isinstance(network, Demucs):
        named = _time_names(weights, network)
    else:
        assert isinstance(network, HybridNetwork)
        named = {_hybrid_name(name, weights, network): value for name, value in weights.items()}
    named = {_branch_name(name, named): value for name, value in named.items()}
    return {name: _shaped(name, value) for name, value in _with_gains(named).items()}


def _hybrid_name(name: str, weights: Mapping[str, Tensor], network: HybridNetwork) -> str:
    """Name of a weight of a hybrid network."""
    if stage := re.fullmatch(r"(t?)(encoder|decoder)\.(\d+)\.(?:layers\.(\d+)\.)?(\w+)\.(.+)", name):
        time, kind, index, band, layer, rest = stage.groups()
        layers = _ENCODER if kind == "encoder" else _DECODER
        last = len(network.time_encoders) - 1
        if time and network.merges and int(index) == (last if kind == "encoder" else 0):
            layers = _MERGING
        owner = f"{'time_' if time else ''}{kind}s.{index}" + (f".bands.{band}" if band else "")
        return f"{owner}.{layers.get(layer, layer)}.{rest}"
    if layer := re.fullmatch(r"crosstransformer\.layers(_t)?\.(\d+)\.(.+)", name):
        time, index, rest = layer.groups()
        crossed = f"crosstransformer.layers{time or ''}.{index}.norm3.weight" in weights
        owner = f"transformer.{'time_' if time else ''}layers.{index}"
        return f"{owner}.{_layer_name(rest, crossed)}"
    if name == "freq_emb.embedding.weight":
        return "frequency_code.values"
    head, _, rest = name.partition(".")
    if head in _PROJECTIONS:
        return f"transformer.{_PROJECTIONS[head]}.{rest}"
    return re.sub(
        r"^crosstransformer\.norm_in(_t)?\.", lambda m: f"transformer.norm{'_time' if m[1] else ''}.", name
    )


def _layer_name(name: str, crossed: bool) -> str:
    """Name within a layer of the transformer."""
    layers = {
        **_LAYERS,
        **({"norm2": "other_norm", "norm3": "dense_norm"} if crossed else {"norm2": "dense_norm"}),
    }
    for theirs, ours in layers.items():
        if name == theirs or name.startswith(f"{theirs}."):
            return ours + name.removeprefix(theirs)
    return name


def _time_names(weights: Mapping[str, Tensor], network: Demucs) -> dict[str, Tensor]:
    """Weights of a time-domain network, whose layers the authors number."""
    design = network.design
    encoder = ["down.conv", "norm", "", *(["branches"] if design.branches_in_encoder else [])]
    encoder += ["rewrite.conv", "rewrite.norm"] if design.rewrite else []
    decoder = ["rewrite.conv", "rewrite.norm", ""] if design.rewrite else []
    decoder += [*(["branches"] if design.branches_in_decoder else []), "up.conv", "up.norm"]
    layers = {"encoder": encoder, "decoder": decoder}
    named = {}
    for name, value in weights.items():
        match = re.fullmatch(r"(encoder|decoder)\.(\d+)\.(\d+)\.(.+)", name)
        if match is None:
            named[name] = value
            continue
        kind, index, number, rest = match.groups()
        # Older networks have no norm at all, and so one layer less before this one.
        aged = number == "2" and f"{kind}.{index}.3.{rest}" not in weights
        place = int(number) + aged
        layer = layers[kind][place] if place < len(layers[kind]) else number
        named[f"{kind}s.{index}.{layer}.{rest}"] = value
    return named


def _branch_name(name: str, names: Mapping[str, Tensor]) -> str:
    """Name of a weight of a residual branch, whose layers the authors number."""
    match = re.fullmatch(r"(.+\.branches\.)layers\.(\d+)\.(\d+)\.(.+)", name)
    if match is None:
        return name
    owner, branch, number, rest = match.groups()
    if rest == "scale":
        return f"{owner}{branch}.scale"
    if rest.startswith(("lstm.", "linear.")):
        return f"{owner}{branch}.lstm.{rest}"
    if rest.partition(".")[0] not in ("weight", "bias"):
        return f"{owner}{branch}.attention.{rest}"
    # Before the gain come a gated convolution, its norm, and the gates.
    gated = f"{owner}layers.{branch}.{int(number) + 3}.scale" in names
    normed = f"{owner}layers.{branch}.{int(number) + 2}.scale" in names
    layer = {"0": "conv", "1": "norm"}.get(number, "gates" if gated else "gates_norm" if normed else number)
    return f"{owner}{branch}.{layer}.{rest}"


def _with_gains(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with the two gains of a layer of the transformer as one tensor."""
    ours = {name: value for name, value in named.items() if ".gamma_" not in name}
    for name, value in named.items():
        if name.endswith(".gamma_1.scale"):
            owner = name.removesuffix(".gamma_1.scale")
            ours[f"{owner}.gains"] = torch.stack([value, named[f"{owner}.gamma_2.scale"]])
    return ours


def _shaped(name: str, value: Tensor) -> Tensor:
    """Weight in Soloist's shape: waveforms have one row, and convolutions over one token are linear."""
    if value.ndim != 3:
        return value
    if name.startswith("transformer."):
        return value[..., 0]
    is_stage = re.search(r"(coders\.\d+\.conv|down\.conv|up\.conv|rewrite\.conv)\.weight$", name)
    return value[:, :, None] if is_stage else value
