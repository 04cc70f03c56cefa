"""Auralflow's networks: weights under its author's names, and outputs computed step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OPTIONS: dict[str, Any] = {
    "model_type": "SpectrogramNetSimple",
    "num_fft_bins": 65,
    "num_frames": 40,
    "num_channels": 1,
    "hidden_channels": 2,
    "mask_act_fn": "sigmoid",
    "leak_factor": 0,
    "dropout_p": 0.4,
    "normalize_input": True,
    "normalize_output": True,
    "recurrent_depth": 2,
    "hidden_size": 6,
    "input_axis": 1,
}


SETTINGS: dict[str, Any] = {
    "model_type": "SpectrogramNetLSTM",
    "targets": ["drums"],
    "num_channels": 2,
    "num_hidden_channels": 2,
    "sample_length": 2,
    "sample_rate": 8000,
    "dropout_p": 0.3,
    "leak_factor": 0.1,
    "normalize_input": False,
    "normalize_output": True,
    "recurrent_depth": 2,
    "hidden_size": 6,
    "input_axis": 1,
    "mask_act_fn": "hardtanh",
    "num_fft": 128,
    "window_size": 100,
    "hop_length": 40,
}
"""Content of a `model.json`."""


def magnitudes(batch: int = 3, bins: int = 65, frames: int = 40, channels: int = 1) -> Tensor:
    """Random magnitudes `(batch, channels, frequency, frames)`."""
    return 3 * torch.rand(batch, channels, bins, frames, generator=torch.Generator().manual_seed(7))


def published_state(seed: int = 0, **changes: Any) -> dict[str, Tensor]:
    """State dict of a network, as its trainer saves it, with norms as if trained."""
    options = {**OPTIONS, **changes}
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def draw(name: str, *shape: int, scale: float, offset: float = 0.0) -> None:
        state[name] = offset + scale * torch.randn(shape, generator=generator)

    def norm(name: str, size: int) -> None:
        draw(f"{name}.weight", size, scale=0.2, offset=1.0)
        draw(f"{name}.bias", size, scale=0.1)
        draw(f"{name}.running_mean", size, scale=0.1)
        state[f"{name}.running_var"] = 0.5 + torch.rand(size, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(3)

    def stack(name: str, inputs: int, outputs: int) -> None:
        for place, channels in enumerate((inputs, outputs, outputs)):
            draw(f"{name}.conv.{place}.conv.weight", outputs, channels, 3, 3, scale=(9 * channels) ** -0.5)
            norm(f"{name}.conv.{place}.bn", outputs)

    channels, hidden, bins = options["num_channels"], options["hidden_channels"], options["num_fft_bins"]
    if options["normalize_input"]:
        for name in ("weight", "bias"):
            shape = (channels, bins, options["num_frames"])
            draw(
                f"input_norm.layer_norm.layer_norm.{name}", *shape, scale=0.2, offset=float(name == "weight")
            )
    widths = [channels, *(hidden << level for level in range(6))]
    for level in range(5):
        stack(f"down_{level + 1}.conv_block", widths[level], widths[level + 1])
    stack("bottleneck", widths[5], widths[6])
    for level in range(5):
        wider, wide = widths[6 - level], widths[5 - level]
        stack(f"up_{level + 1}.conv_block", wider, wide)
        draw(f"up_{level + 1}.up.weight", wider, wide, 5, 5, scale=(6 * wider) ** -0.5)
        draw(f"up_{level + 1}.up.bias", wide, scale=0.1)
        norm(f"up_{level + 1}.bn", wide)
    draw("soft_conv.0.weight", channels, hidden, 1, 1, scale=0.7)
    draw("soft_conv.0.bias", channels, scale=0.1)
    norm("soft_conv.1", channels)
    trained = float(options["normalize_output"])
    draw("output_norm.center", bins, scale=0.1 * trained)
    draw("output_norm.scale", bins, scale=0.1 * trained, offset=1.0)
    if options["mask_act_fn"] == "prelu":
        state["mask_activation.weight"] = torch.tensor([0.3])
    if options["model_type"] != "SpectrogramNetSimple":
        size = (options["num_fft_bins"], options["num_frames"])[options["input_axis"]] >> 5
        _recurrent(state, 16 * hidden * size, options, draw)
    return state


def _recurrent(state: dict[str, Tensor], features: int, options: dict[str, Any], draw: Any) -> None:
    hidden = options["hidden_size"]
    lstm = nn.LSTM(features, hidden, options["recurrent_depth"], bidirectional=True)
    for name, value in lstm.state_dict().items():
        draw(f"lstm.{name}", *value.shape, scale=0.4)
    for name, outputs, inputs in (("linear.0", hidden, 2 * hidden), ("linear.2", 2 * features, hidden)):
        draw(f"{name}.weight", outputs, inputs, scale=0.5)
        draw(f"{name}.bias", outputs, scale=0.1)
    for name in ("mu", "log_sigma") if options["model_type"] == "SpectrogramNetVAE" else ():
        draw(f"{name}.weight", features, features, scale=0.5 * features**-0.5)
        draw(f"{name}.bias", features, scale=0.1)


def published_masks(
    state: dict[str, Tensor], magnitudes: Tensor, noise: Tensor | None = None, **changes: Any
) -> Tensor:
    """Masks of magnitudes `(batch, channels, frequency, frames)`, in evaluation mode."""
    options = {**OPTIONS, **changes}
    x = magnitudes
    if options["normalize_input"]:
        gain, shift = (state[f"input_norm.layer_norm.layer_norm.{name}"] for name in ("weight", "bias"))
        deviation = (x.var(dim=(1, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        x = (x - x.mean(dim=(1, 2, 3), keepdim=True)) / deviation * gain + shift
    skips = []
    for level in range(5):
        skips.append(_stack(state, f"down_{level + 1}.conv_block", x, options["leak_factor"]))
        x = F.max_pool2d(skips[-1], 2)
    if options["model_type"] == "SpectrogramNetSimple":
        x = _stack(state, "bottleneck", x)
    else:
        x = _bottleneck(state, x, noise, options)
    for level, skip in enumerate(reversed(skips)):
        up = _transposed(
            x, skip.shape[2:], state[f"up_{level + 1}.up.weight"], state[f"up_{level + 1}.up.bias"]
        )
        x = torch.cat([_norm(state, f"up_{level + 1}.bn", up), skip], dim=1)
        x = _stack(state, f"up_{level + 1}.conv_block", x)
    x = torch.einsum("bchw,oc->bohw", x, state["soft_conv.0.weight"][..., 0, 0])
    x = _norm(state, "soft_conv.1", x + state["soft_conv.0.bias"][:, None, None])
    x = (x - state["output_norm.center"][:, None]) * state["output_norm.scale"][:, None]
    slope = state.get("mask_activation.weight")
    made = {
        "relu": lambda: x.clamp(min=0),
        "hardtanh": lambda: x,
        "tanh": lambda: torch.tanh(x),
        "softmax": lambda: x.exp() / x.exp().sum(dim=1, keepdim=True),
        "prelu": lambda: torch.where(x < 0, slope * x, x),
        "selu": lambda: F.selu(x),
        "elu": lambda: F.elu(x),
    }.get(options["mask_act_fn"], lambda: torch.sigmoid(x))()
    return made.clamp(0, 1)


def _norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, variance, gain, shift = (
        state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * gain + shift


def _stack(state: dict[str, Tensor], name: str, x: Tensor, leak: float = 0) -> Tensor:
    for place in range(3):
        x = F.conv2d(x, state[f"{name}.conv.{place}.conv.weight"], padding=1)
        x = F.leaky_relu(x, leak) if leak > 0 else F.selu(x)
        x = _norm(state, f"{name}.conv.{place}.bn", x)
    return x


def _transposed(x: Tensor, size: tuple[int, int], weight: Tensor, bias: Tensor) -> Tensor:
    """Transposed convolution to a size; padding is half of the excess, rounded up."""
    padding, missing = [], []
    for inputs, outputs in zip(x.shape[2:], size, strict=True):
        padding.append(-(-(5 - outputs + 2 * (inputs - 1)) // 2))
        missing.append(outputs - (2 * (inputs - 1) - 2 * padding[-1] + 5))
    return F.conv_transpose2d(x, weight, bias, stride=2, padding=padding, output_padding=missing)


def _bottleneck(
    state: dict[str, Tensor], coded: Tensor, noise: Tensor | None, options: dict[str, Any]
) -> Tensor:
    """Bottleneck whose LSTM runs along its first axis, the batch."""
    by_axis = coded.permute(0, 3, 1, 2) if options["input_axis"] == 0 else coded.permute(0, 2, 1, 3)
    x = by_axis.flatten(2)
    if options["model_type"] == "SpectrogramNetVAE":
        mean = x @ state["mu.weight"].T + state["mu.bias"]
        x = mean if noise is None else mean + noise * _deviation(state, x)
    lstm = nn.LSTM(x.shape[2], options["hidden_size"], options["recurrent_depth"], bidirectional=True)
    lstm.load_state_dict({name[5:]: value for name, value in state.items() if name.startswith("lstm.")})
    with torch.no_grad():
        x = lstm(x)[0]
    for layer in ("linear.0", "linear.2"):
        x = F.selu(x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"])
    x = x.unflatten(2, (2 * coded.shape[1], -1))
    return x.permute(0, 2, 3, 1) if options["input_axis"] == 0 else x.permute(0, 2, 1, 3)


def _deviation(state: dict[str, Tensor], x: Tensor) -> Tensor:
    return (x @ state["log_sigma.weight"].T + state["log_sigma.bias"]).exp()
