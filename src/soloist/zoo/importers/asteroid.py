"""Models of asteroid (github.com/asteroid-team/asteroid): files that name their class and its arguments.

Nothing of a file is needed but `model_name`, `model_args` and `state_dict`. Arguments that the original
ignores, or whose defaults older files leave out, are treated as it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from soloist.config import configuration_of
from soloist.errors import ModelError, SoloistError
from soloist.networks import ConvTasNet, DeMask, DPTNet, GatedDualPathRNN, TasNet
from soloist.separators import FilterbankSeparator, build_separator
from soloist.transforms import FreeFilterbank
from soloist.zoo.importers.asteroid_complex import COMPLEX, from_complex, translate_complex
from soloist.zoo.importers.asteroid_sudo_rm_rf import SUDO_RM_RF, from_sudo_rm_rf, translate_sudo_rm_rf
from soloist.zoo.importers.gtcrn import rename
from soloist.zoo.importers.importer import (
    ImportedModel,
    Importer,
    PublishedCheckpoint,
    load_weights,
    wrap_denoiser,
)

_BANKS = {
    "freefb": "free",
    "free": "free",
    "analyticfreefb": "mirrored",
    "analytic_free": "mirrored",
    "stftfb": "stft",
    "stft": "stft",
}
_NORMS = {"gLN": "global", "cgLN": "cumulative", "cLN": "frame"}
_RATE = 8000

_FRAME: dict[str, Any] = {
    "fb_name": "free",
    "n_filters": 512,
    "kernel_size": 16,
    "stride": 8,
    "n_src": 2,
    "encoder_activation": None,
    "norm_type": "gLN",
    "mask_act": "sigmoid",
}


class AsteroidImporter(Importer):
    """Importer of files with `model_name` and `model_args`."""

    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint.

        The card's options name the sources, and the rate where the file lacks it.

        Raises:
            ModelError: The class is unknown, or its arguments or weights do not fit.
        """
        told = checkpoint.metadata
        if not isinstance(told, Mapping) or not {"model_name", "model_args"} <= told.keys():
            return None
        name, args = str(told["model_name"]), told["model_args"]
        if not isinstance(args, Mapping):
            raise ModelError(f"the model_args of this {name} are no names and values")
        told_by_card = {"sources", "sample_rate"} & checkpoint.options.keys()
        options = {key: checkpoint.options[key] for key in told_by_card}
        config = from_args(name, {**args, **options}, checkpoint.state)
        separator = make_separator(name, config, checkpoint.state)
        card = {"system": name, "licence": {"code": "MIT"}}
        if len(separator.sources) == 1:
            return wrap_denoiser(separator, config, card)
        return ImportedModel(separator, config, {**card, "task": "talkers"})


def from_args(
    model_name: str, args: Mapping[str, Any], state: Mapping[str, Tensor] | None = None
) -> dict[str, Any]:
    """`class_path` and `init_args` of the separator of a class with its arguments.

    Args:
        model_name: Name of the class, in any case.
        args: Its arguments; `sources` may name the sources in a fixed order.
        state: Weights under the original's names, whose shapes tell the channels of complex networks.

    Raises:
        ModelError: The class or an argument is not supported.
    """
    if model_name.lower() in COMPLEX:
        return from_complex(model_name, args, state or {})
    if model_name.lower() in SUDO_RM_RF:
        return from_sudo_rm_rf(model_name, args)
    make, defaults = _find(model_name)
    settings = {**_FRAME, **defaults, **args}
    bank = _choose(model_name, "fb_name", {"fb_name": str(settings["fb_name"]).lower()}, _BANKS)
    scope = _choose(model_name, "norm_type", settings, _NORMS)
    num_sources = settings["n_src"]
    ordered = "sources" in args or num_sources == 1
    sources = ["speech"] if num_sources == 1 else [f"speaker{index + 1}" for index in range(num_sources)]
    features = settings["n_filters"] + (2 if bank == "stft" else 0)
    return configuration_of(
        FilterbankSeparator,
        filterbank=configuration_of(
            FreeFilterbank,
            num_filters=settings["n_filters"],
            kernel_size=settings["kernel_size"],
            hop_length=settings["stride"],
            num_sources=num_sources,
            kind=bank,
            activation="gated"
            if make is _lstm_tasnet
            else _choose(model_name, "encoder_activation", settings, _ENCODER_ACTIVATIONS),
        ),
        network=make(model_name, settings, features, scope),
        sources=list(args.get("sources", sources)),
        sample_rate=round(settings.get("sample_rate") or _RATE),
        ordered=ordered,
        normalization="none",
        # Nothing is padded, as zeros would count in the norms.
        pad_multiple=1,
    )


def make_separator(
    model_name: str, config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> FilterbankSeparator:
    """Build a separator with its weights.

    Args:
        model_name: Name of the class, in any case.
        config: `class_path` and `init_args` of the separator.
        state: Weights under the original's names.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    try:
        separator = cast(FilterbankSeparator, build_separator(config, f"settings of {model_name}"))
    except SoloistError as error:
        raise ModelError(str(error)) from None
    known = {**dict.fromkeys(COMPLEX, translate_complex), **dict.fromkeys(SUDO_RM_RF, translate_sudo_rm_rf)}
    translate = known.get(model_name.lower(), _translate)
    load_weights(separator, translate(state, separator), f"the {model_name} of its model_args")
    return separator


_ENCODER_ACTIVATIONS = {None: "identity", "linear": "identity", "relu": "relu"}
_MASK_ACTIVATIONS = {name: name for name in ("sigmoid", "relu", "softmax")}


def _choose(model_name: str, key: str, settings: Mapping[str, Any], known: Mapping[Any, str]) -> str:
    """Soloist's name of an option.

    Raises:
        ModelError: The option has another value.
    """
    if settings[key] not in known:
        raise ModelError(f"a {model_name} with {key} {settings[key]!r} is not supported")
    return known[settings[key]]


def _conv_tasnet(name: str, settings: Mapping[str, Any], features: int, scope: str) -> dict[str, Any]:
    causal = bool(settings["causal"])
    return configuration_of(
        ConvTasNet,
        num_filters=features,
        channels=settings["bn_chan"],
        hidden_channels=settings["hid_chan"],
        skip_channels=settings["skip_chan"] or 0,
        kernel_size=settings["conv_kernel_size"],
        num_blocks=settings["n_blocks"],
        num_repeats=settings["n_repeats"],
        num_outputs=settings["n_src"],
        causal=causal,
        norm="frame" if causal and scope == "global" else scope,
        activation=_choose(name, "mask_act", settings, _MASK_ACTIVATIONS),
    )


def _dual_path(name: str, settings: Mapping[str, Any], features: int, scope: str) -> dict[str, Any]:
    if settings["mask_act"] == "softmax":
        raise ModelError(f"a {name} with mask_act 'softmax', which is over filters, is not supported")
    if scope == "cumulative":
        raise ModelError(f"a {name} with norm_type 'cgLN' is not supported")
    return configuration_of(
        GatedDualPathRNN,
        num_filters=features,
        channels=settings["bn_chan"],
        hidden_size=settings["hid_size"],
        num_blocks=settings["n_repeats"],
        chunk_size=settings["chunk_size"],
        hop_size=settings["hop_size"],
        num_outputs=settings["n_src"],
        cell=str(settings["rnn_type"]).lower(),
        layers=settings["num_layers"],
        dropout=float(settings["dropout"]),
        bidirectional=bool(settings["bidirectional"]),
        by_frame=scope == "frame",
        multiplied=bool(settings["use_mulcat"]),
        activation=_choose(name, "mask_act", settings, _MASK_ACTIVATIONS),
    )


def _dptnet(name: str, settings: Mapping[str, Any], features: int, scope: str) -> dict[str, Any]:
    return configuration_of(
        DPTNet,
        num_filters=features,
        heads=settings["n_heads"],
        hidden_size=settings["ff_hid"],
        num_blocks=settings["n_repeats"],
        chunk_size=settings["chunk_size"],
        hop_size=settings["hop_size"],
        num_outputs=settings["n_src"],
        bidirectional=bool(settings["bidirectional"]),
        norm=scope,
        hidden_activation=settings["ff_activation"],
        dropout=float(settings["dropout"]),
        activation=_choose(name, "mask_act", settings, _MASK_ACTIVATIONS),
    )


def _lstm_tasnet(name: str, settings: Mapping[str, Any], features: int, scope: str) -> dict[str, Any]:
    if settings["mask_act"] == "softmax":
        raise ModelError(f"a {name} with mask_act 'softmax', which is over time, is not supported")
    return configuration_of(
        TasNet,
        num_filters=features,
        hidden_size=settings["hid_size"],
        layers=settings["n_layers"],
        num_outputs=settings["n_src"],
        bidirectional=bool(settings["bidirectional"]),
        dropout=float(settings["dropout"]),
        activation=_choose(name, "mask_act", settings, _MASK_ACTIVATIONS),
        norm="global" if settings["bidirectional"] else "cumulative",
        skips=False,
    )


def _demask(name: str, settings: Mapping[str, Any], features: int, scope: str) -> dict[str, Any]:
    return configuration_of(
        DeMask,
        num_bins=features // 2,
        hidden_sizes=list(settings["hidden_dims"]),
        seen=_choose(name, "input_type", settings, _BIN_PARTS),
        masked=_choose(name, "output_type", settings, _BIN_PARTS),
        norm=scope,
        hidden_activation=settings["activation"],
        dropout=float(settings["dropout"]),
        activation=_choose(name, "mask_act", settings, _MASK_ACTIVATIONS),
    )


_BIN_PARTS = {"mag": "magnitude", "reim": "parts", "cat": "both"}

_Make = Callable[[str, Mapping[str, Any], int, str], dict[str, Any]]

_CLASSES: dict[str, tuple[_Make, dict[str, Any]]] = {
    "demask": (
        _demask,
        {
            "fb_name": "stft",
            "kernel_size": 512,
            "stride": 256,
            "n_src": 1,
            "input_type": "mag",
            "output_type": "mag",
            "hidden_dims": (1024,),
            "activation": "relu",
            "mask_act": "relu",
            "dropout": 0,
            "sample_rate": 16000,
        },
    ),
    "convtasnet": (
        _conv_tasnet,
        {
            "n_blocks": 8,
            "n_repeats": 3,
            "bn_chan": 128,
            "hid_chan": 512,
            "skip_chan": 128,
            "conv_kernel_size": 3,
            "causal": False,
        },
    ),
    "dprnntasnet": (
        _dual_path,
        {
            "n_filters": 64,
            "bn_chan": 128,
            "hid_size": 128,
            "chunk_size": 100,
            "hop_size": None,
            "n_repeats": 6,
            "rnn_type": "LSTM",
            "num_layers": 1,
            "dropout": 0,
            "bidirectional": True,
            "use_mulcat": False,
        },
    ),
    "lstmtasnet": (
        _lstm_tasnet,
        {"n_filters": 64, "hid_size": 512, "n_layers": 4, "dropout": 0.3, "bidirectional": True},
    ),
    "dptnet": (
        _dptnet,
        {
            "n_filters": 64,
            "n_heads": 4,
            "ff_hid": 256,
            "chunk_size": 100,
            "hop_size": None,
            "n_repeats": 6,
            "ff_activation": "relu",
            "mask_act": "relu",
            "dropout": 0,
            "bidirectional": True,
            "encoder_activation": "relu",
        },
    ),
}


def _find(model_name: str) -> tuple[_Make, dict[str, Any]]:
    if model_name.lower() not in _CLASSES:
        known = ", ".join([*_CLASSES, *COMPLEX, *SUDO_RM_RF])
        raise ModelError(f"asteroid's {model_name} is not supported; known are {known}")
    return _CLASSES[model_name.lower()]


_RENAMED = [
    (r"^encoder\.filterbank\._filters$", "filterbank.analysis"),
    (r"^encoder\.encoder_sig\.filterbank\._filters$", "filterbank.gate"),
    (r"^decoder\.filterbank\._filters$", "filterbank.synthesis"),
    (r"^masker\.bn_layer\.", "network.norm."),
    (r"^masker\.masker\.0\.rnn\.", "network.pairs.0."),
    (r"^masker\.masker\.1\.", "network.masks.linear."),
    (r"^masker\.bottleneck\.0\.", "network.norm."),
    (r"^masker\.bottleneck\.1\.", "network.bottleneck."),
    (r"^masker\.TCN\.(\d+)\.shared_block\.3\.(0\.)?", r"network.blocks.\1.layers.3."),
    (r"^masker\.TCN\.(\d+)\.shared_block\.", r"network.blocks.\1.layers."),
    (r"^masker\.(\d+)\.", r"network.layers.\1."),
    (r"^masker\.mask_net\.0\.", "network.slope."),
    (r"^masker\.mask_net\.1\.", "network.masks.linear."),
    (r"^masker\.mask_net\.weight", "network.masks.filters.weight"),
    (r"^masker\.net\.", "network.blocks."),
    (r"\.(intra|inter)_RNN\.rnn1?\.", r".\1.rnn."),
    (r"\.(intra|inter)_RNN\.rnn2\.", r".\1.factor."),
    (r"\.(intra|inter)_linear\.", r".\1.linear."),
    (r"^masker\.first_out\.0\.", "network.masks.slope."),
    (r"^masker\.first_out\.1\.", "network.masks.sources."),
    (r"^masker\.net_out\.0\.", "network.masks.value."),
    (r"^masker\.net_gate\.0\.", "network.masks.gate."),
    (r"^masker\.input_layer\.", "network.widen."),
    (r"^masker\.in_norm\.", "network.norm."),
    (r"^masker\.layers\.(\d+)\.0\.", r"network.intra.\1."),
    (r"^masker\.layers\.(\d+)\.1\.", r"network.inter.\1."),
    (r"\.mha\.", ".attention."),
    (r"\.recurrent\.", ".rnn."),
    (r"\.norm_mha\.", ".attention_norm."),
    (r"\.norm_ff\.", ".output_norm."),
    (r"\.gamma$", ".gain"),
    (r"\.beta$", ".shift"),
]
_UNUSED = re.compile(r"(en|de)coder\.filterbank\.torch_window|encoder\.encoder_relu\..*")


def _translate(state: Mapping[str, Tensor], separator: FilterbankSeparator) -> dict[str, Tensor]:
    fixed = separator.filterbank.kind == "stft" if isinstance(separator.filterbank, FreeFilterbank) else False
    names = {
        name: rename(name, _RENAMED)
        for name in state
        if not _UNUSED.fullmatch(name) and not (fixed and name.endswith("filterbank._filters"))
    }
    shapes = {name: value.shape for name, value in separator.state_dict().items()}
    translated = {}
    for name, ours in names.items():
        value = torch.as_tensor(state[name])
        # Dense layers on each frame are convolutions over one frame in some of both programs' networks.
        same = ours in shapes and [n for n in value.shape if n > 1] == [n for n in shapes[ours] if n > 1]
        translated[ours] = value.reshape(shapes[ours]) if same else value
    return _join_skips(translated)


def _join_skips(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put the layers of a residual and of a skip connection into one matrix."""
    joined = {name: value for name, value in weights.items() if "_conv." not in name}
    for name, value in weights.items():
        if match := re.fullmatch(r"masker\.TCN\.(\d+)\.res_conv\.(weight|bias)", name):
            skip = weights.get(name.replace("res_conv", "skip_conv"))
            whole = value if skip is None else torch.cat([value, skip])
            joined[f"network.blocks.{match[1]}.layers.6.{match[2]}"] = whole
    return joined
