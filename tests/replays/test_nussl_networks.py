"""nussl's networks, modules and filterbanks against the recorded outputs of its code."""

from __future__ import annotations

import json

import pytest
import torch
from torch.testing import assert_close

from reference_vectors import FIXTURES, ReferenceVector
from replays import from_reference
from replays.nussl import handles
from soloist.errors import ModelError

NETWORKS = [
    "mask_inference",
    "dpcl",
    "chimera",
    "open_unmix_like",
    "end_to_end_rnn",
    "end_to_end_rnn_complex",
    "dual_path_rnn",
    "dual_path_rnn_skip_tail",
]


@pytest.fixture
def vector():
    return lambda name: ReferenceVector(FIXTURES / "nussl" / f"{name}.npz")


@pytest.mark.parametrize("name", [*(f"net_{name}" for name in NETWORKS), "modules", "filterbank"])
def test_outputs_are_those_of_the_original(vector, name):
    case = vector(name)
    outputs, expected = case.run(), case.named("output")
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        assert_close(outputs[key], value, rtol=0, atol=2e-5 * max(1, value.abs().max().item()), msg=key)


def test_inputs_may_be_nested(vector):
    case = vector("modules")
    nested = {}
    for key, value in case.named("input").items():
        nested.setdefault(key.rpartition("/")[0], []).append(value)
    outputs = from_reference(case.config, case.state)(nested)
    assert_close(outputs["mask"], case.arrays["output/mask"])


def module(kind, state=None, **arguments):
    """Replay of one module."""
    config = {
        "system": "nussl 1.1.9",
        "kind": "module",
        "modules": {"it": {"class": kind, "args": arguments}},
    }
    weights = {f"it/{name}": value for name, value in (state or {}).items()}
    run = from_reference(config, weights)
    return lambda *inputs: run({"it": list(inputs)})["it"]


def linear(outputs, inputs, name="linear"):
    generator = torch.Generator().manual_seed(outputs)
    return {
        f"{name}.weight": torch.randn(outputs, inputs, generator=generator),
        f"{name}.bias": torch.randn(outputs, generator=generator),
    }


EMBEDDING = {"num_features": 5, "hidden_size": 4, "embedding_size": 3}


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("none", lambda x: x),
        (["none"], lambda x: x),
        (["sigmoid", "tanh", "unit_norm"], lambda x: x.sigmoid() / x.sigmoid().norm(dim=-1, keepdim=True)),
        ("tanh", torch.tanh),
        (["relu", "softmax"], torch.relu),
        (["softmax"], lambda x: x.softmax(-1)),
        (["tanh", "l1_norm"], lambda x: x.tanh() / x.tanh().abs().sum(-1, keepdim=True)),
        (["unit_norm", "l1_norm"], lambda x: x / x.norm(dim=-1, keepdim=True)),
    ],
)
def test_the_first_activation_counts_and_then_a_norm(activation, expected):
    weights, frames = linear(15, 4), torch.randn(2, 7, 4)
    embedded = module("Embedding", weights, **EMBEDDING, activation=activation)(frames)
    plain = torch.nn.functional.linear(frames, weights["linear.weight"], weights["linear.bias"])
    assert_close(embedded, expected(plain.view(2, 7, 5, 1, 3)))


@pytest.mark.parametrize(("activation", "again"), [(["gated_tanh"], False), ("gated_tanh", True)])
def test_a_text_names_more_than_a_list(activation, again):
    weights = linear(15, 4) | linear(4, 4, "embed_linear.0") | linear(4, 4, "embed_gate.0")
    weights["embed_gate.0.bias"] = torch.full((4,), 100.0)  # All gates are open.
    frames = torch.randn(2, 7, 4)
    gated = torch.tanh(frames @ weights["embed_linear.0.weight"].T + weights["embed_linear.0.bias"])
    plain = (gated @ weights["linear.weight"].T + weights["linear.bias"]).view(2, 7, 5, 1, 3)
    embedded = module("Embedding", weights, **EMBEDDING, activation=activation)(frames)
    assert_close(embedded, plain.tanh() if again else plain)


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        (-1, lambda x: x),
        ([3], lambda x: x),
        (2, lambda x: x.mT),
        ([2, 3], lambda x: x.mT.flatten(2)),
        ([3, 2], lambda x: x.mT.flatten(2)),
        ([1, 2], lambda x: x.permute(0, 3, 1, 2).flatten(2)),
    ],
)
def test_axes_are_embedded_in_their_order(dims, expected):
    """Identity weights show where each value goes."""
    data = torch.arange(2 * 3 * 2 * 4.0).view(2, 3, 2, 4)
    wanted = expected(data)
    size = wanted.shape[-1]
    arguments = {"num_features": size, "hidden_size": size, "embedding_size": 1, "activation": "none"}
    weights = {"linear.weight": torch.eye(size)}
    embed = module("Embedding", weights, **arguments, dim_to_embed=dims, bias=False, reshape=False)
    assert_close(embed(data), wanted)


def test_convolutions_add_what_the_last_residual_kept():
    """Three layers that double; the first and the last have residuals."""
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 1, 1] = 2.0
    state = {f"layers.{index}.conv.weight": weight for index in range(2)}
    state |= {f"layers.{index}.conv.bias": torch.zeros(1) for index in range(2)}
    state |= {f"{name}.weight": weight for name in ("layers.2", "layer2")}
    state |= {f"{name}.bias": torch.zeros(1) for name in ("layers.2", "layer2")}
    sizes = {
        "in_channels": 1,
        "channels": [1] * 3,
        "dilations": [1, 2, (1, 3)],
        "filter_shapes": [3, (3, 3), 3],
    }
    stack = module("ConvolutionalStack2D", state, **sizes, residuals=[True, False, True], batch_norm=False)
    data = torch.rand(2, 5, 6, 1)
    assert_close(stack(data), 8 * data + 2 * data)


def test_a_recurrent_stack_may_be_of_gated_units_and_have_time_first():
    torch.manual_seed(0)
    gru = torch.nn.GRU(6, 4, 2)
    state = {f"rnn.{name}": value.detach() for name, value in gru.state_dict().items()}
    sizes = {"num_features": 6, "hidden_size": 4, "num_layers": 2, "bidirectional": False, "dropout": 0.1}
    stack = module("RecurrentStack", state, **sizes, rnn_type="gru", batch_first=False)
    data = torch.randn(5, 2, 3, 2)
    assert_close(stack(data), gru(data.flatten(2))[0].detach())


def test_dual_paths_lose_the_tail_and_add_up_what_overlaps(vector):
    case = vector("net_dual_path_rnn_skip_tail")
    graph = case.config["model_config"]
    graph["output"] = ["dual_path"]
    (made,) = case.run().values()
    assert_close(made, case.arrays["mid/dual_path"], rtol=0, atol=2e-5 * made.abs().max().item())
    frames, chunk, hop = made.shape[1], 10, 5
    lost = (frames - chunk) % hop
    assert lost == 1
    assert not made[:, -lost:].any()
    assert made[:, -lost - 1].any()


def network(connections, modules, output, state=None):
    config = {"connections": connections, "modules": modules, "output": output}
    return from_reference(
        {"system": "nussl 1.1.9", "kind": "network", "model_config": json.dumps(config)}, state or {}
    )


def test_parts_of_several_inputs_find_their_way():
    """Options may be outputs of modules; split outputs have numbers; a module may be used twice."""
    modules = {
        "magnitude": {},
        "level": {},
        "louder": {"class": "AmplitudeToDB"},
        "halves": {"class": "Split", "args": {"split_sizes": [1, 2], "dim": -1}},
        "joined": {"class": "Concatenate"},
        "sigmoid": {"class": "Sigmoid"},
        "renamed": {"class": "Alias"},
    }
    connections = [
        ["louder", ["magnitude", {"ref": 10.0}]],
        ["halves", ["louder"]],
        ["sigmoid", ["halves:1"]],
        ["sigmoid", ["sigmoid"]],
        ["joined", ["sigmoid", "level"]],
        ["renamed", ["joined"]],
    ]
    run = network(connections, modules, ["renamed", "halves:0"])
    magnitude, level = torch.rand(2, 4, 3) + 0.1, torch.rand(2, 1, 2)
    levels = 20 * torch.log10(magnitude) - 20
    wanted = torch.cat([levels[..., 1:].sigmoid().sigmoid(), level], dim=1)
    for inputs in ([magnitude, level], {"level": level, "magnitude": magnitude}):
        outputs = run(inputs)
        assert list(outputs) == ["renamed", "halves:0"]
        assert_close(outputs["renamed"], wanted)
        assert_close(outputs["halves:0"], levels[..., :1])


@pytest.mark.parametrize(
    ("part", "state", "message"),
    [
        ({"class": "Teleport"}, {}, "no module 'Teleport'"),
        ({"class": "Sequential"}, {}, "no module 'Sequential'"),
        ({"class": "Linear", "args": {"in_features": 2}}, {}, "Linear cannot be made: .*out_features"),
        ({"class": "RecurrentStack", "args": {"rnn_type": "rnn"}}, {}, "RecurrentStack cannot be made"),
        (
            {"class": "Linear", "args": {"in_features": 2, "out_features": 3}},
            {"it.weight": torch.zeros(3, 2)},
            r'do not fit nussl\'s it: .*"bias"',
        ),
        ({"class": "ReLU"}, {"layers.other.weight": torch.zeros(1)}, "weights of 'other'"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(part, state, message):
    with pytest.raises(ModelError, match=message) as caught:
        network([["it", ["x"]]], {"x": {}, "it": part}, ["it"], state)
    assert "\n" not in str(caught.value)


def test_losses_and_algorithms_are_not_this_importer_s():
    assert not handles({"system": "nussl 1.1.9", "kind": "losses"})
    assert not handles({"system": "nussl 1.1.9", "kind": "classical"})
    assert not handles({"system": "another", "kind": "network"})
