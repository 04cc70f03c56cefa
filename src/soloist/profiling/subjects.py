"""What is profiled: a separator by the name of its model or of its recipe, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save

from soloist.config import nearest
from soloist.errors import ModelError
from soloist.separators import Chunking, Separator
from soloist.training import RECIPES, RunFolder, read_recipe
from soloist.zoo import Quality, card_of, find, load, models
from soloist.zoo.cards import WEIGHTS

_RECIPE_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Facts:
    """What is known of a separator before it is run.

    Attributes:
        model: What it was asked for by.
        sample_rate: Hz.
        channels: Of the mixture.
        sources: Number of sources.
        parameters: Numbers that were or can be trained.
        trainable: Those of them that are not frozen.
        size: Bytes of the weights as safetensors; of a recipe, what a trained model will take.
        receptive_field: Seconds on either side that an output sample can depend on; None if unbounded.
        latency: Seconds that a streaming use has to wait; see `algorithmic_latency`.
        chunk: Seconds of the chunks that a long recording is cut into.
        quality: Published and measured figures.
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
    """A separator to profile.

    Attributes:
        facts: What is known of it.
        separator: The separator, in eval mode.
    """

    facts: Facts
    separator: Separator


def load_subject(name: str) -> Subject:
    """Load what a name means.

    Args:
        name: A model's name, else the folder of a model or of a run, else a recipe's name or file. A run
            stands for its trained model; a recipe is built with fresh weights.

    Raises:
        ModelError: There is no such model or recipe, or it is not on disk or damaged.
        ConfigError: A recipe, configuration or card is not valid.
    """
    model = find_model(name)
    if model is None:
        separator = read_recipe(name).build_separator().eval()
        return _subject(name, separator, _size_as_saved(separator))
    separator = load(model)
    weights = (find(model).folder if isinstance(model, str) else model) / WEIGHTS
    size = weights.stat().st_size if weights.is_file() else 0
    return _subject(name, separator, size, card_of(model).quality)


def find_model(name: str) -> str | Path | None:
    """The name or the folder of the model that is meant; None where a recipe is.

    Raises:
        ModelError: There is neither.
    """
    path = Path(name).expanduser()
    known = {card.name for card in models()}
    recipes = {file.stem for file in RECIPES.glob("*.yaml")}
    if name in known:
        return name
    if path.is_dir():
        return RunFolder(path).model if RunFolder(path).recipe.is_file() else path
    if path.is_file() and path.suffix not in _RECIPE_SUFFIXES:
        return path
    if name in recipes or path.is_file():
        return None
    raise ModelError(f"no model or recipe is named {name!r}; {nearest(name, known | recipes)}")


def algorithmic_latency(separator: Separator) -> float:
    """Seconds from when a sample is heard to when its estimates can be known, were computing for nothing.

    That is how far an estimate sees ahead: the separator's `lookahead`. Where this has no bound, or chunks
    are normalised by their own level, a chunk must have been heard to its end before its first sample is
    known. The level of a track is taken as known.
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
