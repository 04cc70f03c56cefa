"""Going on from a model: its weights, frozen parameters, and low-rank adapters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from soloist.errors import ConfigError, UsageError
from soloist.files import some
from soloist.networks.layers.frames import FrameConv
from soloist.resources import import_extra
from soloist.separators import CombinedSeparator, CompositeSeparator, Separator
from soloist.training.recipe.own_recipe import only_member
from soloist.training.recipe.sections import Lora
from soloist.transforms import LearnedFilterbank
from soloist.zoo import config_of, load

_ADAPTABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, FrameConv)
"""Layers that can have adapters; not other subclasses, which compute in ways of their own."""


@dataclass(frozen=True)
class Beginning:
    """Origin of the weights of a training that goes on from a model.

    Attributes:
        model: Name or folder of the model.
        kept: Parameters and buffers taken from the model.
        partly: Those of which the part for some sources was taken.
        anew: Those that begin with fresh weights.
        sources: Sources whose weights were taken, all or in part.
    """

    model: str
    kept: tuple[str, ...]
    partly: tuple[str, ...]
    anew: tuple[str, ...]
    sources: tuple[str, ...]

    def describe(self) -> str:
        """Tell in a line what was kept, and what begins anew by name."""
        total = len(self.kept) + len(self.partly) + len(self.anew)
        told = f"from {self.model}: {len(self.kept)} of {total} weights"
        if self.partly:
            told += f"; of {some(self.partly)} the part of {', '.join(self.sources)}"
        return f"{told}; anew: {some(self.anew)}" if self.anew else told


def begin_from(separator: Separator, model: str) -> Beginning:
    """Copy the weights of a model that fit into a separator.

    Weights of one source (a branch of its own, or a share of a layer's outputs) are taken for the source of
    the same name; those of sources that the model does not have stay fresh. With equally many sources of
    other names, each begins from the weights of the source in its place.

    Args:
        separator: Separator with fresh weights, changed in place.
        model: Name of a model, or folder of a model or a run.

    Raises:
        ModelError: There is no such model, or it is not on disk.
        UsageError: The model has another sample rate.
        ConfigError: No weight of the model fits, or it is a bag of several models.
    """
    source = load(model)
    if isinstance(source, (CombinedSeparator, CompositeSeparator)):
        only_member(model, config_of(model))
        source = source.parts[0]
    if source.sample_rate != separator.sample_rate:
        raise UsageError(
            f"{model} is a model for {source.sample_rate} Hz, and the recipe's separator is for "
            f"{separator.sample_rate} Hz, where each of its filters means another frequency: "
            f"set separator.sample_rate {source.sample_rate}"
        )
    places = _places(list(separator.sources), list(source.sources))
    renamed = _renamed(source, places)
    given: dict[str, Tensor] = {}
    kept: list[str] = []
    partly: list[str] = []
    anew: list[str] = []
    for name, fresh in separator.state_dict().items():
        whole, value = _fit(fresh, renamed.get(name), places, len(source.sources))
        (anew if value is None else kept if whole else partly).append(name)
        given[name] = fresh if value is None else value
    learned = {name for name, _ in separator.named_parameters()}
    if not learned.intersection(kept) and not partly:
        raise ConfigError(f"from: no weight of {model} fits the recipe's separator, which is another network")
    separator.load_state_dict(given)
    common = [name for name, place in zip(separator.sources, places, strict=True) if place is not None]
    return Beginning(model, tuple(kept), tuple(partly), tuple(anew), tuple(common))


def freeze(separator: Separator, patterns: Sequence[str]) -> None:
    """Freeze the parameters whose names match, and the statistics of norms that are frozen whole.

    Args:
        separator: Separator, changed in place.
        patterns: Regular expressions, found anywhere in the names.

    Raises:
        ConfigError: A pattern fits no parameter, or all parameters are frozen.
    """
    names = [name for name, _ in separator.named_parameters()]
    for pattern in patterns:
        if not any(re.search(pattern, name) for name in names):
            raise ConfigError(f"freeze: no parameter's name has {pattern!r} in it; there are {some(names)}")
    for name, parameter in separator.named_parameters():
        if any(re.search(pattern, name) for pattern in patterns):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in separator.parameters()):
        raise ConfigError("freeze: all parameters are frozen, and nothing is left to train")


def hold_frozen_norms(separator: nn.Module) -> None:
    """Keep the running statistics of norms all of whose parameters are frozen."""
    for module in separator.modules():
        own = list(module.parameters(recurse=False))
        if own and hasattr(module, "running_mean") and not any(part.requires_grad for part in own):
            module.eval()


def add_adapters(separator: Separator, lora: Lora, anew: Collection[str] = ()) -> None:
    """Add low-rank adapters to layers; what a model has learned is frozen, and fresh weights are trained.

    E. Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022.

    Args:
        separator: Separator, changed in place.
        lora: Size of the adapters, and the layers.
        anew: Names of the weights that begin anew, whose layers get no adapters.

    Raises:
        UsageError: The package peft is not installed.
        ConfigError: No layer fits.
    """
    peft = import_extra("peft", "lora")
    # A filterbank takes the weights of its layers, and computes itself.
    banks = [name for name, module in separator.named_modules() if isinstance(module, LearnedFilterbank)]
    layers = [
        name
        for name, module in separator.named_modules()
        if type(module) in _ADAPTABLE
        and getattr(module, "groups", 1) == 1
        and re.search(lora.layers, name)
        and f"{name}.weight" not in anew
        and not any(name.startswith(f"{bank}.") for bank in banks)
    ]
    if not layers:
        raise ConfigError(f"lora: no linear or convolutional layer's name has {lora.layers!r} in it")
    target = "|".join(map(re.escape, layers))
    config = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha or lora.rank, target_modules=target)
    peft.inject_adapter_in_model(config, separator)
    for name, parameter in separator.named_parameters():
        if name in anew:
            parameter.requires_grad_(True)


def merge_adapters(separator: Separator) -> None:
    """Add the adapters to the weights of their layers, and remove them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(separator.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, attribute = name.rpartition(".")
            setattr(separator.get_submodule(parent), attribute, module.get_base_layer())


def _places(sources: Sequence[str], others: Sequence[str]) -> list[int | None]:
    """Place in the model of each source; None for sources that begin anew."""
    if len(sources) == len(others):
        # Weights that several sources share cannot be told from those of all, so the places stay.
        if any(name in sources and sources.index(name) != place for place, name in enumerate(others)):
            ordered = ", ".join(_in_places(sources, others))
            raise ConfigError(f"from: the model has its sources in another order: set sources [{ordered}]")
        return list(range(len(sources)))
    return [others.index(name) if name in others else None for name in sources]


def _in_places(sources: Sequence[str], others: Sequence[str]) -> list[str]:
    """Put the sources that a model has, too, where it has them."""
    rest = iter([name for name in sources if name not in others])
    return [name if name in sources else next(rest) for name in others]


def _renamed(source: Separator, places: Sequence[int | None]) -> dict[str, Tensor]:
    """Weights of a model under the names of the new separator, whose branches have other places."""
    state = source.state_dict()
    if len(places) == len(source.sources):
        return state
    lists = list(_branch_lists(source))
    own = {name: value for name, value in state.items() if not any(name.startswith(path) for path in lists)}
    for path in lists:
        for place, before in enumerate(places):
            if before is not None:
                own |= _moved(state, f"{path}{before}.", f"{path}{place}.")
    return own


def _moved(state: Mapping[str, Tensor], before: str, after: str) -> dict[str, Tensor]:
    return {
        after + name.removeprefix(before): value for name, value in state.items() if name.startswith(before)
    }


def _branch_lists(separator: Separator) -> Iterator[str]:
    """Prefixes of the names of lists with a branch for each source."""
    for path, module in separator.named_modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and name in getattr(module, "source_lists", ()):
                yield f"{path}.{name}." if path else f"{name}."


def _fit(
    fresh: Tensor, value: Tensor | None, places: Sequence[int | None], count: int
) -> tuple[bool, Tensor | None]:
    """Weights for a tensor: whole, or the shares of the known sources in it; None if nothing fits."""
    if value is None or value.ndim != fresh.ndim:
        return False, None
    if value.shape == fresh.shape:
        return True, value
    known = [(new, old) for new, old in enumerate(places) if old is not None]
    differing = [axis for axis in range(fresh.ndim) if fresh.shape[axis] != value.shape[axis]]
    shares = [_share(fresh.shape[axis], len(places), value.shape[axis], count) for axis in differing]
    if not known or None in shares:
        return False, None
    # Sources come first, so that each has a block of rows, and of columns where both differ.
    result = fresh.clone()
    index: list[Any] = [slice(None)] * fresh.ndim
    origin: list[Any] = list(index)
    for axis, share in zip(differing, shares, strict=True):
        assert share is not None
        index[axis] = torch.cat([torch.arange(share) + new * share for new, _ in known])
        origin[axis] = torch.cat([torch.arange(share) + old * share for _, old in known])
    result[_grid(index)] = value[_grid(origin)]
    return len(known) == len(places), result


def _grid(index: Sequence[Any]) -> tuple[Any, ...]:
    """Index of all combinations of several lists, one for an axis."""
    lists = [axis for axis, entry in enumerate(index) if isinstance(entry, Tensor)]
    shaped = list(index)
    for place, axis in enumerate(lists):
        shape = [1] * len(lists)
        shape[place] = -1
        shaped[axis] = index[axis].reshape(shape)
    return tuple(shaped)


def _share(size: int, sources: int, other: int, count: int) -> int | None:
    """Rows of each source, if both tensors have equally many; else None."""
    whole = size % sources == 0 and other % count == 0 and size // sources == other // count
    return size // sources if whole else None
