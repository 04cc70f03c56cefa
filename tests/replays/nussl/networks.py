"""nussl's networks: modules by name, connected to a graph.

A network is rebuilt from its configuration; `soloist.zoo.importers.nussl` makes a separator of its weights.
`docs/faithful.md` lists the differences.
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
    """Tell whether a vector is of networks, of their modules, or of their filterbanks."""
    kinds = ("network", "module", "filterbank")
    return str(config.get("system", "")).startswith("nussl") and config.get("kind") in kinds


def from_reference(config: Mapping[str, Any], state: State) -> Callable[..., dict[str, Tensor]]:
    """Rebuild the network, the modules or the filterbanks of a vector.

    Args:
        config: `model_config` of a network; else `modules`, each with `class` and `args`.
        state: Weights, whose names begin with those of the modules.

    Returns:
        A callable that returns outputs by name. A network takes its input, or a mapping of inputs. Modules
        take a mapping keyed by `<module>/<i>`, or `<module>` for a single input. Filterbanks take a mapping
        of audio keyed by `<filterbank>`, and return `<filterbank>/transform` and `<filterbank>/inverse`.

    Raises:
        ModelError: A module is unknown, or the weights do not fit.
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
    """nussl's `SeparationModel`: modules that read inputs and outputs of other modules.

    Args:
        config: `modules` by name, of which those without a class are inputs; `connections`, each a name and
            the names that it reads; names of the `output`. A mapping, or its JSON.
        state: Weights named `layers.<module>.<name>`, and possibly again without the `layers.`.

    Raises:
        ModelError: A module is unknown, or the weights do not fit.
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
        """Map an input, or several, to the outputs by name."""
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
    """Load the weights whose names begin with a prefix; return the module in eval mode."""
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
    """Inputs of a module: one or several under its name, or each under its name and a number."""
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
