"""Open-Unmix and X-UMX: weights under their authors' names, and outputs computed step by step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEMS = ("vocals", "drums", "bass", "other")


def open_unmix_state(
    hidden: int = 8,
    num_bins: int = 2049,
    input_bins: int = 1487,
    channels: int = 2,
    layers: int = 3,
    seed: int = 0,
    directions: int = 2,
) -> dict[str, Tensor]:
    """State dict of one source, as its authors' code saves it, with norms as if trained."""
    generator = torch.Generator().manual_seed(seed)
    outputs = channels * num_bins

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(shape, generator=generator) * scale

    def norm(name: str, size: int) -> dict[str, Tensor]:
        return {
            f"{name}.weight": 1 + draw(size, scale=0.2),
            f"{name}.bias": draw(size, scale=0.2),
            f"{name}.running_mean": draw(size, scale=0.2),
            f"{name}.running_var": 0.5 + draw(size).abs(),
            f"{name}.num_batches_tracked": torch.tensor(7),
        }

    state = {
        "input_mean": -draw(input_bins).abs(),
        "input_scale": 0.5 + draw(input_bins).abs(),
        "output_scale": 1 + draw(num_bins, scale=0.3),
        "output_mean": 1 + draw(num_bins, scale=0.3),
        # Windows that older versions of the code stored beside the weights.
        "stft.window": torch.hann_window(2 * (num_bins - 1)),
        "transform.0.window": torch.hann_window(2 * (num_bins - 1)),
        "fc1.weight": draw(hidden, channels * input_bins, scale=(channels * input_bins) ** -0.5),
        **norm("bn1", hidden),
        "fc2.weight": draw(hidden, 2 * hidden, scale=0.5),
        **norm("bn2", hidden),
        "fc3.weight": draw(outputs, hidden, scale=0.5),
        **norm("bn3", outputs),
    }
    lstm = nn.LSTM(hidden, hidden // directions, layers, bidirectional=directions == 2)
    for name, value in lstm.state_dict().items():
        state[f"lstm.{name}"] = draw(*value.shape, scale=0.5)
    return state


def cross_net_state(sources: tuple[str, ...] = STEMS, **sizes: int) -> dict[str, Tensor]:
    """State dict of an X-UMX, as its authors' code saves it."""
    state = {}
    for seed, source in enumerate(sources):
        names = {"fc1": "layer_enc.{}.enc.0", "bn1": "layer_enc.{}.enc.1", "lstm": "layer_lstm.{}"}
        names |= {"fc2": "layer_dec.{}.dec.0", "bn2": "layer_dec.{}.dec.1"}
        names |= {"fc3": "layer_dec.{}.dec.3", "bn3": "layer_dec.{}.dec.4"}
        for name, value in open_unmix_state(seed=seed, **sizes).items():
            head, _, rest = name.partition(".")
            if head in names:
                state[f"{names[head].format(source)}.{rest}"] = value
            elif head in ("stft", "transform"):
                state["encoder.0.window"] = value
            else:
                state[f"mean_scale.{head}_{source}"] = value
    return state


def _norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    normal = (x - state[f"{name}.running_mean"]) / (state[f"{name}.running_var"] + 1e-5).sqrt()
    return normal * state[f"{name}.weight"] + state[f"{name}.bias"]


def encode(state: dict[str, Tensor], magnitudes: Tensor) -> Tensor:
    """Features `(frames, hidden)` of magnitudes `(channels, frequency, frames)`."""
    seen = magnitudes[:, : len(state["input_mean"])].permute(2, 0, 1)
    seen = (seen + state["input_mean"]) * state["input_scale"]
    return torch.tanh(_norm(state, "bn1", seen.flatten(1) @ state["fc1.weight"].T))


def _run(state: dict[str, Tensor], x: Tensor, layer: str) -> Tensor:
    """One direction of one layer of the LSTM, moment by moment, on `(frames, features)`."""
    weights = [state[f"lstm.{kind}_{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    of_input, of_output, first, second = weights
    output = cell = x.new_zeros(of_output.shape[1])
    outputs = []
    for moment in x:
        gates = (of_input @ moment + first + of_output @ output + second).chunk(4)
        enter, forget, leave = (gates[index].sigmoid() for index in (0, 1, 3))
        cell = forget * cell + enter * gates[2].tanh()
        output = leave * cell.tanh()
        outputs.append(output)
    return torch.stack(outputs)


def recur(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Output of all layers of the LSTM for `(frames, features)`."""
    layer = 0
    while f"lstm.weight_ih_l{layer}" in state:
        outputs = [_run(state, x, f"l{layer}")]
        if f"lstm.weight_ih_l{layer}_reverse" in state:
            outputs.append(_run(state, x.flip(0), f"l{layer}_reverse").flip(0))
        x = torch.cat(outputs, dim=1)
        layer += 1
    return x


def decode(state: dict[str, Tensor], features: Tensor) -> Tensor:
    """Mask `(channels, frequency, frames)` of features `(frames, 2 * hidden)`."""
    x = torch.relu(_norm(state, "bn2", features @ state["fc2.weight"].T))
    x = _norm(state, "bn3", x @ state["fc3.weight"].T)
    bins = len(state["output_mean"])
    x = x.reshape(len(x), -1, bins) * state["output_scale"] + state["output_mean"]
    return torch.relu(x).permute(1, 2, 0)


def open_unmix(state: dict[str, Tensor], magnitudes: Tensor) -> Tensor:
    """Mask of one source."""
    x = encode(state, magnitudes)
    return decode(state, torch.cat([x, recur(state, x)], dim=1))


def cross_net(states: list[dict[str, Tensor]], magnitudes: Tensor) -> Tensor:
    """Masks `(sources, channels, frequency, frames)` of an X-UMX whose sources have these states."""
    encoded = [encode(state, magnitudes) for state in states]
    shared = sum(encoded) / len(encoded)
    features = [
        torch.cat([own, recur(state, shared)], dim=1) for state, own in zip(states, encoded, strict=True)
    ]
    mean = sum(features) / len(features)
    return torch.stack([decode(state, mean) for state in states])
