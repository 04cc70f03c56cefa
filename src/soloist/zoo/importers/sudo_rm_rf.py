"""SuDoRM-RF in all its variants (github.com/etzinis/sudo_rm_rf).

Switched on here: the original and the attentive network pad to the least common multiple of the hop and
`2 ** depth`; the original has a normalisation that it never applies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from soloist.separators import FilterbankDesign, FilterbankSeparator, sudormrf_design
from soloist.separators.presets import SuDoRMRFVariant
from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights

VARIANTS: dict[str, SuDoRMRFVariant] = {
    "SuDORMRF_original": "original",
    "SuDORMRF_improved": "improved",
    "GroupCommSudoRmRf": "groupcomm",
    "CausalSuDORMRF": "causal",
    "SuDORMRF_attentive_v3": "attentive",
}

# Names that mark a variant; the first that fits decides.
_MARKS = {
    "sm.0.conv_1x1_exp.conv.weight": "SuDORMRF_original",
    "sm.0.TAC.TAC_input.0.weight": "GroupCommSudoRmRf",
    "sm.0.skipinit_gain": "CausalSuDORMRF",
    "sm.0.attentive_resamplers.0.mha.Q_proj.weight": "SuDORMRF_attentive_v3",
    "sm.0.proj_1x1.norm.gamma": "SuDORMRF_improved",
}
_FRAME = {"encoder.weight", "decoder.weight"}

# Patterns from the authors' names to Soloist's, applied in turn.
_RENAMES = [
    (r"^encoder(\.0)?\.", "filterbank.analysis."),
    (r"^decoder\.", "filterbank.synthesis."),
    (r"^ln\.", "network.norm."),
    (r"^ln_mask_in\.", "network.unused_norm."),
    (r"^(l1|bottleneck)\.", "network.bottleneck."),
    (r"^reshape_before_masks\.", "network.expand."),
    (r"^m\.", "network.mask.conv."),
    (r"^sm\.", "network.blocks."),
    (r"\.UBlock\.", ".block."),
    (r"\.TAC\.TAC_input\.", ".communication.transform."),
    (r"\.TAC\.TAC_mean\.", ".communication.average."),
    (r"\.TAC\.TAC_output\.", ".communication.concatenate."),
    (r"\.TAC\.TAC_norm\.", ".communication.norm."),
    (r"\.skipinit_gain$", ".gain"),
    (r"\.res_conv\.", ".narrow."),
    (r"\.conv_1x1_exp\.conv\.", ".narrow."),
    (r"\.conv_1x1_exp\.norm\.", ".narrow_norm."),
    (r"\.module_act\.norm\.", ".sum_norm."),
    (r"\.module_act\.act\.", ".sum_activation."),
    (r"\.final_norm\.norm\.", ".norm."),
    (r"\.final_norm\.act\.", ".activation."),
    (r"\.spp_dw\.(\d+)\.conv\.", r".pyramid.levels.\1.0."),
    (r"\.spp_dw\.(\d+)\.(norm|act)\.", r".pyramid.levels.\1.1."),
    (r"\.attentive_resamplers\.", ".pyramid.resamplers."),
    (r"\.mha\.Q_proj\.", ".query."),
    (r"\.mha\.K_proj\.", ".key."),
    (r"\.mha\.V_proj\.", ".value."),
    (r"\.mha\.O_proj\.", ".output."),
    (r"\.out_mha_norm\.", ".attention_norm."),
    (r"\.out_norm\.", ".output_norm."),
    (r"\.ffn\.conv\.", ".feedforward.0."),
    (r"\.ffn\.norm\.", ".feedforward.1."),
    (r"\.ffn\.act\.", ".feedforward.2."),
]
_RENAMES_WITH_NORMS = [
    (r"\.proj_1x1\.conv\.", ".widen."),
    (r"\.proj_1x1\.norm\.", ".widen_norm."),
    (r"\.proj_1x1\.act\.", ".widen_activation."),
    (r"^mask_net\.0\.", "network.mask_activation."),
    (r"^mask_net\.1\.", "network.mask."),
    # A norm of the authors' has parameters gamma and beta, or (in the original) weight and bias.
    (r"(norm|levels\.\d+\.1|feedforward\.1)\.(gamma|weight)$", r"\1.gain"),
    (r"(norm|levels\.\d+\.1|feedforward\.1)\.(beta|bias)$", r"\1.shift"),
]
_RENAMES_CAUSAL = [
    (r"\.proj_1x1\.conv\.", ".widen.0."),
    (r"\.proj_1x1\.act\.", ".widen.1."),
    (r"^mask_net\.", "network.estimate."),
    (r"^mask_nl_class\.", "network.estimate.2."),
]


class SuDoRMRFImporter(Importer):
    """Importer of the state dicts of all variants."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator that names and shapes tell.

        No weight tells the rate; the published networks work at 8000 Hz.

        Raises:
            ModelError: The names are those of a SuDoRM-RF, but the weights do not fit together.
        """
        state = {name.removeprefix("module."): value for name, value in checkpoint.state.items()}
        config = _infer_config(state)
        if config is None:
            return None
        card = {"system": f"SuDoRM-RF ({VARIANTS[config['system']]})"}
        return ImportedModel(make_separator(config, state), _design(config).config(), card)


def make_separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> FilterbankSeparator:
    """Build a separator as its authors ran it, in eval mode.

    Args:
        config: Configuration in the authors' words: `system`, `enc_num_basis`, `enc_kernel_size`,
            `out_channels`, `in_channels`, `num_blocks`, `upsampling_depth`, `num_sources` and, where they
            matter, `group_size` and `in_audio_channels`.
        state: Weights under the authors' names.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    separator = _design(config).build()
    load_weights(separator, translate(state), f"the SuDoRM-RF of the configuration ({config['system']})")
    return separator.eval()


def _design(config: Mapping[str, Any]) -> FilterbankDesign:
    """Design of the separator as its authors ran it, for a configuration in their words."""
    variant, hop = VARIANTS[config["system"]], config["enc_kernel_size"] // 2
    sizes = {
        "num_filters": config["enc_num_basis"],
        "channels": config["out_channels"],
        "hidden_channels": config["in_channels"],
        "num_blocks": config["num_blocks"],
        "depth": config["upsampling_depth"],
    }
    if variant == "groupcomm":
        sizes["num_groups"] = config.get("group_size", 16)
    if variant == "original":
        sizes["unused_norm"] = True
    return sudormrf_design(
        variant,
        sizes,
        kernel_size=config["enc_kernel_size"],
        sources=[f"speaker{index + 1}" for index in range(config["num_sources"])],
        channels=config.get("in_audio_channels", 1),
        pad_multiple=math.lcm(hop, 2 ** sizes["depth"]) if variant in ("original", "attentive") else None,
    )


def translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names and shapes of weights from the authors' to Soloist's."""
    renames = _RENAMES + (_RENAMES_CAUSAL if "mask_nl_class.weight" in state else _RENAMES_WITH_NORMS)
    translated = {}
    for name, value in state.items():
        # Soloist computes the positional code, for any length.
        if name.endswith(".pos_enc.pe"):
            continue
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        tensor = torch.as_tensor(value)
        # Dense layers on each frame are convolutions over one frame in Soloist.
        translated[name] = tensor[..., None] if ".communication." in name and tensor.ndim == 2 else tensor
    return translated


def _infer_config(state: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Read the configuration, in the authors' words, from the names and shapes of a state dict."""
    system = next((system for mark, system in _MARKS.items() if mark in state), None)
    if system is None or not _FRAME.issubset(name.replace("encoder.0.", "encoder.") for name in state):
        return None
    filters, audio_channels, taps = (
        state["encoder.0.weight"] if system == "SuDORMRF_original" else state["encoder.weight"]
    ).shape
    grouped = system == "GroupCommSudoRmRf"
    block = "sm.0.UBlock." if grouped else "sm.0."
    channels = state["l1.weight" if system == "SuDORMRF_original" else "bottleneck.weight"].shape[0]
    groups = channels // state["sm.0.TAC.TAC_input.0.weight"].shape[1] if grouped else 1
    outputs = (
        state["decoder.bias"].shape[0] if system == "SuDORMRF_original" else state["decoder.weight"].shape[1]
    )
    return {
        "system": system,
        "enc_num_basis": filters,
        "in_audio_channels": audio_channels,
        "enc_kernel_size": (taps + 1) // 2 if system == "CausalSuDORMRF" else taps,
        "out_channels": channels,
        "in_channels": state[f"{block}proj_1x1.conv.weight"].shape[0] * groups,
        "num_blocks": _count(state, r"sm\.(\d+)\."),
        "upsampling_depth": _count(state, rf"{re.escape(block)}spp_dw\.(\d+)\."),
        "num_sources": outputs // audio_channels,
        "group_size": groups,
    }


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})
