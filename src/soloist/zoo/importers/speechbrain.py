"""SepFormer and RE-SepFormer of speechbrain (github.com/speechbrain/speechbrain): folders of checkpoints.

The settings file `hyperparams.yaml`, whose tags make the original build objects and call functions, is read
as data: no tag does anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError, SoloistError, one_line
from soloist.networks import ResourceEfficientSepFormer, SepFormer
from soloist.separators import FilterbankSeparator, build_separator
from soloist.transforms import FreeFilterbank
from soloist.zoo.importers.gtcrn import rename
from soloist.zoo.importers.importer import (
    ImportedModel,
    Importer,
    PublishedCheckpoint,
    load_weights,
    wrap_denoiser,
)

SETTINGS = "hyperparams.yaml"
PARTS = ("masknet", "encoder", "decoder")
"""Files of a folder, with the suffix `.ckpt`."""

_MODULES = "speechbrain.lobes.models"
_SEPFORMER, _EFFICIENT = "Dual_Path_Model", "ResourceEfficientSeparator"
_CLASSES = {
    f"{_MODULES}.dual_path.{name}" for name in ("Encoder", "Decoder", "SBTransformerBlock", _SEPFORMER)
} | {f"{_MODULES}.resepformer.{name}" for name in (_EFFICIENT, "SBTransformerBlock_wnormandskip")}

_TRANSFORMER: dict[str, Any] = {
    "num_layers": 8,
    "nhead": 8,
    "d_ffn": 1024,
    "use_positional_encoding": True,
    "norm_before": True,
    "use_norm": True,
    "use_skip": True,
    "activation": "relu",
}
_MASKS: dict[str, dict[str, Any]] = {
    _SEPFORMER: {
        "num_layers": 2,
        "K": 250,
        "norm": "ln",
        "linear_layer_after_inter_intra": False,
        "skip_around_intra": True,
        "use_global_pos_enc": False,
    },
    _EFFICIENT: {"segment_size": 150, "layer": 2, "mem_type": "av", "nonlinear": "relu"},
}
"""Settings of the published checkpoints, which the options of a card need not repeat."""

_NORMS = {"ln": "global", "gln": "global", "cln": "frame"}

_CARD = {"system": "SepFormer", "licence": {"code": "Apache-2.0"}}


class SpeechBrainImporter(Importer):
    """Importer of the three files of a SepFormer or RE-SepFormer as one."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        Raises:
            ModelError: The names are those of such a network, but its settings or weights do not fit.
        """
        kind = _kind_of(checkpoint.state)
        if kind is None:
            return None
        config = from_settings(checkpoint.options, checkpoint.state)
        separator = make_separator(config, checkpoint.state)
        card = {**_CARD, "system": "SepFormer" if kind == _SEPFORMER else "RE-SepFormer"}
        if len(separator.sources) == 1:
            return wrap_denoiser(separator, config, card)
        return ImportedModel(separator, config, {**card, "task": "talkers"})


def _kind_of(state: Mapping[str, Tensor]) -> str | None:
    marks = {_SEPFORMER: "masknet.dual_mdl.0.intra_mdl.mdl.", _EFFICIENT: "masknet.model.seg_model.0.mdl."}
    if not {"encoder.conv1d.weight", "decoder.weight"} <= state.keys():
        return None
    return next((kind for kind, mark in marks.items() if any(name.startswith(mark) for name in state)), None)


def hyperparameters_beside(path: Path) -> Path | None:
    """Settings of a folder with the files of a network, given the folder or a file in it; None without."""
    folder = path if path.is_dir() else path.parent
    settings = folder / SETTINGS
    parts = [folder / f"{part}.ckpt" for part in PARTS]
    return settings if settings.is_file() and any(part.is_file() for part in parts) else None


def read_hyperparameters(path: Path) -> dict[str, Any]:
    """Read the settings of a folder as data.

    Args:
        path: The file `hyperparams.yaml`.

    Returns:
        `sample_rate`, and for each part of the network its settings: `masknet`, `encoder`, `intra`, `inter`.

    Raises:
        ModelError: The file is no YAML, or names other classes than those of these networks.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _DataLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"cannot read the settings {path}: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no settings")
    parts = {key: value for key, value in content.items() if isinstance(value, _Tagged)}
    masks = next((part for part in parts.values() if part.name in (_SEPFORMER, _EFFICIENT)), None)
    if masks is None:
        named = sorted({part.tag for part in parts.values() if part.tag.startswith("new:")})
        raise ModelError(f"{path} has no SepFormer; it names {', '.join(named) or 'no class'}")
    settings = _resolve(masks, content, path)
    keys = ("seg_model", "mem_model") if masks.name == _EFFICIENT else ("intra_model", "inter_model")
    settings["intra"], settings["inter"] = (settings.pop(key, {}) for key in keys)
    return {"sample_rate": _resolve(content.get("sample_rate", 8000), content, path), "masknet": settings}


class _Tagged:
    """Value under a tag that the original executes."""

    def __init__(self, tag: str, value: Any) -> None:
        self.tag, self.value = tag, value

    @property
    def name(self) -> str:
        return self.tag.rpartition(".")[2]


class _DataLoader(yaml.SafeLoader):
    """Loader that keeps each tag and its value."""


def _construct_tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> _Tagged:
    if isinstance(node, yaml.MappingNode):
        return _Tagged(suffix, loader.construct_mapping(node, deep=True))
    if isinstance(node, yaml.SequenceNode):
        return _Tagged(suffix, loader.construct_sequence(node, deep=True))
    return _Tagged(suffix, loader.construct_scalar(cast(yaml.ScalarNode, node)))


_DataLoader.add_multi_constructor("!", _construct_tagged)


def _resolve(value: Any, content: Mapping[str, Any], path: Path, depth: int = 0) -> Any:
    """Settings of a part, with references followed.

    Raises:
        ModelError: A part is of a class that is not of these networks, or a reference leads nowhere.
    """
    if depth > 20:
        raise ModelError(f"{path}: a reference leads back to itself")
    if isinstance(value, dict):
        return {key: _resolve(each, content, path, depth + 1) for key, each in value.items()}
    if not isinstance(value, _Tagged):
        return value
    if value.tag == "ref":
        key = re.fullmatch(r"<(\w+)>", str(value.value).strip())
        if key is None or key[1] not in content:
            raise ModelError(f"{path}: the reference {value.value} cannot be followed")
        return _resolve(content[key[1]], content, path, depth + 1)
    if value.tag.removeprefix("new:") in _CLASSES:
        return _resolve(value.value or {}, content, path, depth + 1)
    # Activations are named by their classes.
    if activation := re.search(r"\.(ReLU|GELU|LeakyReLU)$", value.tag):
        return {"LeakyReLU": "leaky_relu"}.get(activation[1], activation[1].lower())
    raise ModelError(f"{path} names !{value.tag}, which is no part of a SepFormer")


def from_settings(options: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator.

    Args:
        options: `sample_rate` and the settings of `masknet`, as `read_hyperparameters` gives them; those of
            the published checkpoints where they are left out.
        state: Weights under the names of their files and of the original.

    Raises:
        ModelError: A setting is not supported.
    """
    kind = _kind_of(state) or _SEPFORMER
    settings = {**_MASKS[kind], **options.get("masknet", {})}
    intra, inter = ({**_TRANSFORMER, **settings.get(key, {})} for key in ("intra", "inter"))
    filters, _, kernel = state["encoder.conv1d.weight"].shape
    network = (_sepformer if kind == _SEPFORMER else _efficient)(settings, intra, inter, state)
    num_sources = network["init_args"]["num_outputs"]
    sources = ["speech"] if num_sources == 1 else [f"speaker{index + 1}" for index in range(num_sources)]
    rate = int(options.get("sample_rate", 8000))
    return configuration_of(
        FilterbankSeparator,
        filterbank=configuration_of(
            FreeFilterbank,
            num_filters=filters,
            kernel_size=kernel,
            hop_length=kernel // 2,
            num_sources=num_sources,
            activation="relu",
        ),
        network=network,
        sources=sources,
        sample_rate=rate,
        ordered=num_sources == 1,
        normalization="none",
        pad_multiple=1,
        chunk_length=CHUNK_SECONDS * rate,
    )


CHUNK_SECONDS = 10
"""Length of chunks of long recordings: the original runs a recording as a whole, and ends at 312 s."""


def _sepformer(
    settings: Mapping[str, Any],
    intra: Mapping[str, Any],
    inter: Mapping[str, Any],
    state: Mapping[str, Tensor],
) -> dict[str, Any]:
    _check(settings["norm"] in _NORMS, f"norm {settings['norm']!r}")
    _check(not settings["use_global_pos_enc"], "use_global_pos_enc")
    _check(settings["K"] % 2 == 0, f"K {settings['K']}, an odd number")
    alike = ("nhead", "d_ffn", "use_positional_encoding", "norm_before", "activation")
    _check(all(intra[key] == inter[key] for key in alike), "transformers of two kinds")
    channels, filters, _ = state["masknet.conv1d.weight"].shape
    return configuration_of(
        SepFormer,
        num_filters=filters,
        channels=channels,
        num_blocks=settings["num_layers"],
        chunk_size=settings["K"],
        num_outputs=len(state["masknet.conv2d.bias"]) // channels,
        intra_layers=intra["num_layers"],
        inter_layers=inter["num_layers"],
        **_transformer(intra),
        hidden_activation=intra["activation"],
        norm=_NORMS[settings["norm"]],
        linear=bool(settings["linear_layer_after_inter_intra"]),
        skip_intra=bool(settings["skip_around_intra"]),
    )


def _efficient(
    settings: Mapping[str, Any],
    intra: Mapping[str, Any],
    inter: Mapping[str, Any],
    state: Mapping[str, Tensor],
) -> dict[str, Any]:
    _check(settings["mem_type"] == "av", f"mem_type {settings['mem_type']!r}")
    _check(settings["nonlinear"] in ("relu", "sigmoid"), f"nonlinear {settings['nonlinear']!r}")
    alike = ("nhead", "d_ffn", "use_positional_encoding", "norm_before", "use_norm", "use_skip")
    _check(all(intra[key] == inter[key] for key in alike), "transformers of two kinds")
    filters = len(state["encoder.conv1d.weight"])
    return configuration_of(
        ResourceEfficientSepFormer,
        num_filters=filters,
        num_stages=settings["layer"],
        chunk_size=settings["segment_size"],
        num_outputs=len(state["masknet.model.output_fc.1.bias"]) // filters,
        layers=intra["num_layers"],
        memory_layers=inter["num_layers"],
        **_transformer(intra),
        normalized=bool(intra["use_norm"]),
        skip=bool(intra["use_skip"]),
        activation=settings["nonlinear"],
    )


def _transformer(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "heads": settings["nhead"],
        "hidden_size": settings["d_ffn"],
        "norm_first": bool(settings["norm_before"]),
        "positions": bool(settings["use_positional_encoding"]),
    }


def _check(supported: bool, what: str) -> None:
    if not supported:
        raise ModelError(f"a SepFormer with {what} is not supported")


def make_separator(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> FilterbankSeparator:
    """Build a separator with its weights.

    Args:
        config: `class_path` and `init_args` of the separator.
        state: Weights under the names of their files and of the original.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    try:
        separator = cast(FilterbankSeparator, build_separator(config, "settings of the SepFormer"))
    except SoloistError as error:
        raise ModelError(str(error)) from None
    load_weights(separator, _translate(state), "the SepFormer of its settings")
    return separator


_RENAMED = [
    (r"^encoder\.conv1d\.weight$", "filterbank.analysis"),
    (r"^decoder\.weight$", "filterbank.synthesis"),
    (r"^masknet\.dual_mdl\.", "network.blocks."),
    (r"^masknet\.conv1d\.", "network.bottleneck."),
    (r"^masknet\.conv2d\.", "network.masks.sources."),
    (r"^masknet\.prelu\.", "network.masks.slope."),
    (r"^masknet\.output\.0\.", "network.masks.value."),
    (r"^masknet\.output_gate\.0\.", "network.masks.gate."),
    (r"^masknet\.end_conv1x1\.", "network.masks.filters."),
    (r"^masknet\.model\.output_fc\.0\.", "network.slope."),
    (r"^masknet\.model\.output_fc\.1\.", "network.masks.linear."),
    (r"^masknet\.model\.seg_model\.(\d+)\.mdl\.", r"network.stages.\1.transformer."),
    (r"^masknet\.model\.mem_model\.(\d+)\.mdl\.", r"network.memories.\1.transformer."),
    (r"^masknet\.model\.seg_model\.(\d+)\.norm\.", r"network.stages.\1.norm."),
    (r"^masknet\.model\.mem_model\.(\d+)\.norm\.", r"network.memories.\1.norm."),
    (r"\.(intra|inter)_mdl\.mdl\.", r".\1."),
    (r"\.(intra|inter)_linear\.w\.", r".\1_linear."),
    (r"\.self_att\.att\.", ".attention."),
    (r"\.pos_ffn\.ffn\.0\.", ".feed_forward.0."),
    (r"\.pos_ffn\.ffn\.3\.", ".feed_forward.2."),
    (r"\.norm1\.norm\.", ".attention_norm."),
    (r"\.norm2\.norm\.", ".feed_forward_norm."),
    (r"\.norm\.norm\.", ".norm."),
    (r"^masknet\.norm\.", "network.norm."),
]
_GLOBAL_NORM = re.compile(r"(.+\.int(?:ra|er)_norm|network\.norm|network\.\w+\.\d+\.norm)\.(weight|bias)")
_ROW_NORM = {"weight": "gain", "bias": "shift"}


def _translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    translated = {}
    for name, value in state.items():
        # Positions are computed, for any length.
        if name.endswith(".pos_enc.pe"):
            continue
        ours, value = rename(name, _RENAMED), torch.as_tensor(value)
        if norm := _GLOBAL_NORM.fullmatch(ours):
            ours, value = f"{norm[1]}.{_ROW_NORM[norm[2]]}", value.flatten()
        if ours.startswith("network.masks.") and ".linear." not in ours and value.ndim > 2:
            value = value.flatten(1)
        if ours.startswith("network.masks.linear."):
            # Sources are next to each other in the original.
            sources = len(value) // state["decoder.weight"].shape[0]
            value = value.unflatten(0, (-1, sources)).transpose(0, 1).flatten(0, 1)
        translated[ours] = value
    return translated
