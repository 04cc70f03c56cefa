"""Separators to profile, by the name of a model or a recipe, and facts about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save

from soloist.config import nearest
from soloist.errors import ModelError
from soloist.files import expand_home
from soloist.separators import Chunking, Separator
from soloist.training import RECIPES, RunFolder, read_recipe
from soloist.zoo import Quality, card_of, find, load, models
from soloist.zoo.cards import WEIGHTS, is_known, own_name
from soloist.zoo.composition_files import find_composition

_RECIPE_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Facts:
    """Facts about a separator that are known without running it.

    Attributes:
        model: Name of the model or recipe, as requested.
        sample_rate: Hz.
        channels: Number of channels of the mixture.
        sources: Number of sources.
        parameters: Number of parameters.
        trainable: Number of parameters that are not frozen.
        size: Bytes of the weights as safetensors; for a recipe those of its future model.
        receptive_field: Seconds on either side that an output sample can depend on; None if unbounded.
        latency: Algorithmic latency in s; see `algorithmic_latency`.
        chunk: Duration of the chunks of a long recording, in s.
        quality: Published and measured quality.
    """

    model: str
    sample_rate: int
    channels: int
    sources: int
    parameters: int
    trainable: int
    size: int
    receptive_field: float | None
    latency: float
    chunk: float
    quality: tuple[Quality, ...] = ()


@dataclass(frozen=True)
class Subject:
    """Separator to profile.

    Attributes:
        facts: Facts about the separator.
        separator: The separator, in eval mode.
    """

    facts: Facts
    separator: Separator


def load_subject(name: str) -> Subject:
    """Load a separator by name.

    Args:
        name: Name of a model, else folder of a model or of a run, else name or file of a recipe. A run stands
            for its trained model; a recipe is built with fresh weights.

    Raises:
        ModelError: There is no such model or recipe, or it is not on disk or damaged.
        ConfigError: A recipe, configuration or card is not valid.
    """
    model = find_model(name)
    if model is None:
        separator = read_recipe(name).build_separator().eval()
        return _subject(name, separator, _size_as_saved(separator))
    separator = load(model)
    if find_composition(model) is not None:
        return _subject(name, separator, _size_as_saved(separator))
    weights = (find(model).folder if isinstance(model, str) else model) / WEIGHTS
    size = weights.stat().st_size if weights.is_file() else 0
    return _subject(name, separator, size, card_of(model).quality)


def find_model(name: str) -> str | Path | None:
    """Find the model of a name; None if the name is that of a recipe.

    Raises:
        ModelError: There is neither.
    """
    path = expand_home(name)
    known = {card.name for card in models()}
    recipes = {file.stem for file in RECIPES.glob("*.yaml")}
    if is_known(name):
        return own_name(name)
    if name not in recipes and find_composition(name) is not None:
        return name
    if path.is_dir():
        return RunFolder(path).model if RunFolder(path).recipe.is_file() else path
    if path.is_file() and path.suffix not in _RECIPE_SUFFIXES:
        return path
    if name in recipes or path.is_file():
        return None
    raise ModelError(f"no model or recipe is named {name!r}; {nearest(name, known | recipes)}")


def algorithmic_latency(separator: Separator) -> float:
    """Algorithmic latency: look-ahead in seconds, assuming infinitely fast hardware.

    The latency is the separator's `lookahead`; for an unbounded one, or for chunks normalised by their own
    level, it is the length of a chunk. The level of a track counts as known.
    """
    ahead = separator.lookahead
    if ahead is None or separator.normalization == "chunk":
        ahead = Chunking.of(separator).length
    return ahead / separator.sample_rate


def _subject(name: str, separator: Separator, size: int, quality: tuple[Quality, ...] = ()) -> Subject:
    rate, field = separator.sample_rate, separator.receptive_field
    parameters = list(separator.parameters())
    facts = Facts(
        model=name,
        sample_rate=rate,
        channels=separator.channels,
        sources=len(separator.sources),
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        size=size,
        receptive_field=None if field is None else field / rate,
        latency=algorithmic_latency(separator),
        chunk=Chunking.of(separator).length / rate,
        quality=quality,
    )
    return Subject(facts, separator)


def _size_as_saved(separator: Separator) -> int:
    # Cloned, because safetensors refuses tensors that share memory.
    state = {name: tensor.clone().contiguous() for name, tensor in separator.state_dict().items()}
    return len(save(state))
