"""nussl 1.1.9's networks: modules by name, connected to a graph.

They are rebuilt from their configurations as they are, for comparison; what separates with their weights in
Soloist is made by `soloist.zoo.importers.nussl_models`.

Theirs and ours differ in this: see `docs/faithful.md`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from replays.nussl.modules import make_module
from soloist.errors import ModelError

State = Mapping[str, Tensor]


def handles(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is of nussl's networks, of modules of theirs, or of their filterbanks."""
    kinds = ("network", "module", "filterbank")
    return str(config.get("system", "")).startswith("nussl") and config.get("kind") in kinds


def from_reference(config: Mapping[str, Any], state: State) -> Callable[..., dict[str, Tensor]]:
    """The networks, modules or filterbanks of a reference vector.

    Args:
        config: Of a network `model_config`; of the others `modules`, each with `class` and `args`.
        state: Weights, after the names of the modules.

    Returns:
        A callable that returns what nussl's code does by the names of outputs. For a network it takes the
        input, or a mapping of inputs. For modules it takes a mapping: `<module>/<i>`, or `<module>` where
        there is one. For filterbanks it takes a mapping `<filterbank>` of audio, and gives
        `<filterbank>/transform` and `<filterbank>/inverse`.

    Raises:
        ModelError: A module is not known, or the weights do not fit.
    """
    weights = {name: torch.as_tensor(value) for name, value in state.items()}
    if config["kind"] == "network":
        return _no_gradients(Graph(config["model_config"], weights))
    modules = {
        name: _load(make_module(part), weights, f"{name}/") for name, part in config["modules"].items()
    }
    run = _run_modules if config["kind"] == "module" else _run_filterbanks
    return _no_gradients(lambda inputs: run(modules, inputs))


class Graph(nn.Module):
    """nussl's `SeparationModel`: modules that read inputs and what other modules made.

    Args:
        config: `modules` by name, of which those without a class are inputs; `connections`, each a name and
            what it reads; names of the `output`. A mapping, or its JSON.
        state: Weights, which are named `layers.<module>.<name>`, or twice, once without the `layers.`

    Raises:
        ModelError: A module is not known, or the weights do not fit.
    """

    def __init__(self, config: Mapping[str, Any] | str, state: State) -> None:
        super().__init__()
        graph: Mapping[str, Any] = json.loads(config) if isinstance(config, str) else config
        self.connections: list[tuple[str, list[Any]]] = [(name, read) for name, read in graph["connections"]]
        self.outputs: list[str] = list(graph["output"])
        self.inputs = [name for name, part in graph["modules"].items() if "class" not in part]
        layers = {name: part for name, part in graph["modules"].items() if "class" in part}
        weights = {name.removeprefix("layers."): value for name, value in state.items()}
        if unknown := {name.partition(".")[0] for name in weights} - layers.keys():
            raise ModelError(f"there are weights of {min(unknown)!r}, which nussl's network does not have")
        self.layers = nn.ModuleDict(
            {name: _load(make_module(part), weights, f"{name}.") for name, part in layers.items()}
        )

    def forward(self, data: Tensor | Sequence[Tensor] | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs by name, for the input or for several."""
        if isinstance(data, Tensor):
            data = [data]
        known = dict(data if isinstance(data, Mapping) else zip(self.inputs, data, strict=True))
        for name, read in self.connections:
            values: list[Tensor] = []
            options: dict[str, Any] = {}
            for item in read:
                if isinstance(item, Mapping):
                    options |= {key: _look_up(known, value) for key, value in item.items()}
                else:
                    values.append(known[item])
            made = self.layers[name](*values, **options)
            parts = made if isinstance(made, (tuple, list)) else ()
            known |= {f"{name}:{index}": part for index, part in enumerate(parts)} or {name: made}
        return {name: known[name] for name in self.outputs}


def _look_up(known: Mapping[str, Tensor], value: Any) -> Any:
    return known.get(value, value) if isinstance(value, str) else value


def _no_gradients(function: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    return torch.no_grad()(function)


def _load(module: nn.Module, state: State, prefix: str) -> nn.Module:
    """The module with those of the weights whose names begin with the prefix, in evaluation mode."""
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(own)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights do not fit nussl's {prefix[:-1]}: {reason}") from None
    return module.eval()


def _run_modules(modules: Mapping[str, nn.Module], inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: module(*_inputs_of(name, inputs)) for name, module in modules.items()}


def _inputs_of(name: str, inputs: Mapping[str, Any]) -> list[Tensor]:
    """What a module is given: under its name, one tensor or several; or each under its name and a number."""
    if name in inputs:
        given = inputs[name]
        given = [given[key] for key in sorted(given)] if isinstance(given, Mapping) else given
        return [given] if isinstance(given, Tensor) else list(given)
    numbered = sorted(key for key in inputs if key.rpartition("/")[0] == name)
    if not numbered:
        raise ModelError(f"there is no input for nussl's {name}")
    return [inputs[key] for key in numbered]


def _run_filterbanks(modules: Mapping[str, nn.Module], inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}
    for name, module in modules.items():
        (audio,) = _inputs_of(name, inputs)
        features = module(audio, direction="transform")
        outputs |= {f"{name}/transform": features, f"{name}/inverse": module(features, direction="inverse")}
    return outputs
