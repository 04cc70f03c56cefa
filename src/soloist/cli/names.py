"""Names of models, recipes and runs on the command line, checked before slow imports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soloist.errors import ConfigError, ModelError
from soloist.files import expand_home
from soloist.zoo.published_files import HUGGING_FACE

if TYPE_CHECKING:
    from soloist.zoo import Card

ORACLE = "oracle:"
"""Beginning of the name of an oracle, which is no model."""

RECIPE_SUFFIXES = (".yaml", ".yml")

_BAND = ("vocals", "drums", "bass", "other")
_VOCALS = ("vocals",)
_PROGRAMS = (
    (r"(ht|h)?demucs.*|mdx(_extra)?(_q)?|repro_mdx.*", "Demucs", _BAND),
    (r"(spleeter[:-])?[45]stems.*", "Spleeter", _BAND),
    (r"spleeter|(spleeter[:-])?2stems.*", "Spleeter", _VOCALS),
    (r"(uvr|kim_|mdx[-_]?net|mdx23c).*", "Ultimate Vocal Remover", _VOCALS),
    (r"(bs|mel|mel[-_]?band)[-_]?roformer.*|scnet.*", "Music-Source-Separation-Training", _BAND),
    (r"open[-_]?unmix.*", "Open-Unmix", _BAND),
)
"""Names of other programs' models: a pattern, the program, and the sources that these models separate."""

_SHOWN = 3


def complete_model(incomplete: str) -> list[str]:
    """Names of models that begin with a text, for shells that complete words."""
    from soloist.zoo import models

    return [card.name for card in models() if card.name.startswith(incomplete)]


def complete_subject(incomplete: str) -> list[str]:
    """Names of models and of recipes that begin with a text."""
    return [*complete_model(incomplete), *complete_recipe(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """Names of recipes that begin with a text."""
    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_chain(incomplete: str) -> list[str]:
    """Names of chains that begin with a text."""
    from soloist.zoo.composition_files import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def check_model(name: str) -> None:
    """Refuse a name that is neither a known model nor a file or folder; of an ensemble or a chain, each one.

    Raises:
        ConfigError: The file of an ensemble or a chain is not valid.
        UsageError: Its models do not go together.
        ModelError: There is no such model; the message has the nearest name, or models that do the job of
            another program's model.
    """
    from soloist.zoo.composition_files import find_composition

    if (composition := find_composition(name)) is not None:
        for leaf in composition.leaves:
            check_model(leaf)
        # Finds out whether the models go together, from their cards.
        assert composition.sources
    elif not name.startswith(HUGGING_FACE) and not expand_home(name).exists():
        check_known(name)


def check_known(name: str) -> None:
    """Refuse the name of an unknown model.

    Raises:
        ModelError: There is no such model; see `check_model`.
    """
    from soloist.zoo import find

    try:
        find(name)
    except ModelError as error:
        if name in recipe_names():
            raise ModelError(f"{name} is a recipe, not a model: soloist train {name} makes one") from error
        if told := _explain_program(name):
            raise ModelError(told) from error
        raise


def check_subject(name: str) -> None:
    """Refuse a name that is neither a model, nor a shipped recipe, nor a file or folder.

    Raises:
        ModelError: There is nothing of this name.
    """
    if name not in recipe_names():
        check_model(name)


def check_recipe(name: str) -> None:
    """Refuse a name that is neither a shipped recipe nor a file.

    Raises:
        ConfigError: There is no such recipe; the message has the nearest name.
    """
    from soloist.config import nearest

    if name not in (known := recipe_names()) and not expand_home(name).exists():
        if name.endswith(RECIPE_SUFFIXES):
            raise ConfigError(f"there is no recipe {name}; soloist init {Path(name).stem} writes one")
        raise ConfigError(f"there is no recipe {name}; {nearest(name, known)}")


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = Path(__file__).parents[1] / "recipes"
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_run(name: str) -> tuple[Path | None, bool]:
    """Find the run of a name, which is a run's folder or the folder of the model in it.

    Returns:
        The folder of the run, or None; and True if the name is that of the run, not of its model.
    """
    from soloist.training import RunFolder

    path = expand_home(name)
    if RunFolder(path).recipe.is_file():
        return path, True
    inside = path.is_dir() and RunFolder(path.resolve().parent).recipe.is_file()
    return (path.resolve().parent if inside else None), False


def _explain_program(name: str) -> str | None:
    """Message for the name of another program's model; None for any other name."""
    from soloist.zoo import models

    for pattern, program, sources in _PROGRAMS:
        if re.fullmatch(pattern, name, re.IGNORECASE):
            near = ", ".join(_best(models(), sources))
            return (
                f"no model is named {name!r}, which is a model of {program}: for {', '.join(sources)} take "
                f"{near} (see soloist models); other checkpoints come by soloist models import FILE"
            )
    return None


def _best(cards: Sequence[Card], sources: Sequence[str]) -> list[str]:
    """Models that separate these sources, in the order in which they are the default."""
    ranked = [(card.default_rank, card.name) for card in cards if card.default_rank]
    known = {card.name for card in cards if set(sources) <= set(card.sources)}
    return [name for _, name in sorted(ranked) if name in known][:_SHOWN]
