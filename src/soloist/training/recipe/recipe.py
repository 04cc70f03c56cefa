"""Recipes: YAML files that describe a training completely."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from soloist.config import (
    Config,
    build_object,
    check,
    check_key,
    find_class,
    nearest,
    override,
    put,
    read_yaml,
    record,
    with_full_paths,
)
from soloist.config.imports import class_paths_in, import_code, is_imported, requested
from soloist.datasets import Corpus
from soloist.errors import ConfigError, UsageError
from soloist.files import expand_home
from soloist.metrics import Metric
from soloist.mixing import Augmentation, BatchRemix, Mixer
from soloist.separators import Separator
from soloist.training.data.sampler import Sampler
from soloist.training.recipe.sections import DataConfig, Lora, WatchConfig, check_expression, check_least
from soloist.training.watch.metrics_file import VALID, mode_of

RECIPES = Path(__file__).parents[2] / "recipes"

Stage = Literal["prepare", "train", "evaluate", "visualize", "analyze"]
"""Stages of an experiment, in their order."""

_BASE, _FROM = "recipe", "from"

_INHERITING = (Mixer, Corpus, Augmentation, BatchRemix, Metric, Sampler)
"""Parts that inherit seed, sources, rate and channels that they do not state."""


@dataclass(frozen=True)
class Recipe:
    """Description of a training. Objects are configurations here; `soloist.training` builds them.

    Attributes:
        name: Name of the training.
        separator: Separator to train.
        data: Training, validation and test examples.
        loss: Training loss.
        valid_loss: Validation loss; defaults to `loss`.
        from_: Model to go on from, by its name or the folder of a model or run: the key `from`. None to begin
            with fresh weights.
        freeze: Regular expressions; parameters whose names match are not trained.
        lora: Low-rank adapters, see `Lora`; None to train the weights themselves.
        optimizer: A class of `torch.optim`.
        rates: Learning rates by regular expression, for parameters whose names match, in place of the
            optimizer's. By default, what a model has learned goes on at a tenth of the rate of fresh weights.
        scheduler: A class of `torch.optim.lr_scheduler`, stepped after each epoch (`ReduceLROnPlateau` after
            each validation); None for a constant rate.
        warmup: Steps of a linear warm-up of the rates; 0 for none.
        metrics: Metrics of the validation beside its loss and energy ratios, by name; see
            `soloist.metrics.Metric`.
        callbacks: Callbacks of Lightning's `Trainer`, after Soloist's own.
        trainer: Arguments of Lightning's `Trainer`: `max_epochs`, `precision`, `devices` and all others.
        ema: Decay of an exponential moving average of the weights, which is validated and saved in their
            place; None for no average.
        patience: Validations without improvement that make a plateau; None to train to the end.
        max_plateaus: Plateaus after which training stops.
        min_delta: Least improvement over the best value so far that counts.
        monitor: Figure that decides which checkpoint is best; a loss is best when low, a metric of `metrics`
            as its class says, all others when high.
        keep: Number of best checkpoints to keep.
        checkpoint_every: Steps between two checkpoints within an epoch; None for one at the end of each.
        seed: Seed of the weights and of all examples.
        watch: Figures, sounds and pictures to record.
        imports: Files (`mine.py`, beside the recipe) and packages that define classes of the recipe; run and
            model keep the files.
        card: Entries of the trained model's card, by the names of `Card`'s attributes.
        sweep: Values that `soloist train --sweep` tries.
        stages: Stages of `soloist train --stages all`; none for every stage.

    Raises:
        ConfigError: A value is out of range.
    """

    name: str
    separator: Config
    data: DataConfig
    loss: Config
    valid_loss: Config | None = None
    from_: str | None = None
    freeze: list[str] = field(default_factory=list)
    lora: Config | None = None
    optimizer: Config = field(default_factory=lambda: {"class_path": "torch.optim.Adam"})
    rates: dict[str, float] = field(default_factory=dict)
    scheduler: Config | None = None
    warmup: int = 0
    metrics: dict[str, Config] = field(default_factory=dict)
    callbacks: list[Config] = field(default_factory=list)
    trainer: dict[str, Any] = field(default_factory=dict)
    ema: float | None = None
    patience: int | None = None
    max_plateaus: int = 1
    min_delta: float = 0.0
    monitor: str = "valid/si_sdri"
    keep: int = 1
    checkpoint_every: int | None = None
    seed: int = 0
    watch: WatchConfig = field(default_factory=WatchConfig)
    imports: list[str] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=dict)
    sweep: dict[str, Any] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ConfigError(f"ema must be from 0 to below 1, not {self.ema}")
        if self.min_delta < 0:
            raise ConfigError(f"min_delta must be 0 or more, not {self.min_delta:g}")
        if self.patience is None and (self.max_plateaus != 1 or self.min_delta != 0):
            raise ConfigError("max_plateaus and min_delta say how long to wait: state patience as well")
        for name in ("patience", "max_plateaus", "keep", "checkpoint_every"):
            check_least(name, getattr(self, name), 1)
        for name in ("seed", "warmup"):
            check_least(name, getattr(self, name), 0)
        for pattern, rate in self.rates.items():
            _check_rate(pattern, rate)
        for pattern in self.freeze:
            check_expression("freeze", pattern)
        if self.adapters is not None and self.from_ is None:
            raise ConfigError("lora adapts a model: state from as well")
        if wrong := [name for name in self.metrics if not re.fullmatch(r"[\w-]+", name)]:
            raise ConfigError(f"metrics: {wrong[0]!r} must be letters, digits, - and _")

    @property
    def adapters(self) -> Lora | None:
        """Low-rank adapters, from their configuration."""
        return None if self.lora is None else record(Lora, self.lora, "lora")

    @property
    def monitor_mode(self) -> Literal["min", "max"]:
        """Direction in which the monitored figure gets better.

        Raises:
            ConfigError: The metric that is monitored has no class.
        """
        part = self.metrics.get(self.monitor.removeprefix(VALID))
        if part is None or not self.monitor.startswith(VALID):
            return mode_of(self.monitor)
        cls = find_class(part.get("class_path", ""), f"metrics of the recipe {self.name}")
        return "max" if getattr(cls, "higher_is_better", True) else "min"

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Recipe:
        """Read a recipe from the keys and values of its file.

        Raises:
            ConfigError: A key is unknown or missing, or a value is of the wrong type.
        """
        imports = _imported(values, where)
        values = {**with_full_paths(values, where), "imports": imports}
        if _FROM in values:
            # A word of Python's own, so the attribute has another name.
            values["from_"] = values.pop(_FROM)
        recipe = record(cls, values, where)
        return replace(
            recipe,
            data=record(DataConfig, values["data"], f"data of {where}"),
            watch=record(WatchConfig, values.get("watch") or {}, f"watch of {where}"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain names and values, as `parse` takes them."""
        return {_FROM if key == "from_" else key: value for key, value in asdict(self).items()}

    def to_yaml(self) -> str:
        """Contents of the recipe's file."""
        return yaml.dump(self.to_dict(), Dumper=PlainDumper, sort_keys=False, allow_unicode=True, width=100)

    def build(self, part: Config, kind: type[Any], **arguments: Any) -> Any:
        """Build the object of a part, with what the part inherits from the recipe.

        Args:
            part: `class_path` and `init_args`.
            kind: Required base class.
            **arguments: Arguments that no file can hold.

        Raises:
            ConfigError: The configuration is not valid.
        """
        return build_object(self.resolve(part), f"the recipe {self.name}", kind, **arguments)

    def resolve(self, part: Config) -> Config:
        """Complete the configuration of a part by what the part inherits from the recipe.

        Raises:
            ConfigError: The configuration is not valid.
        """
        resolved: Config = self._inherit(part, f"the recipe {self.name}")
        return resolved

    def build_metrics(self) -> dict[str, Metric]:
        """Build the metrics of the validation, by name."""
        return {name: self.build(part, Metric) for name, part in self.metrics.items()}

    def build_separator(self) -> Separator:
        """Build the separator with fresh weights, in training mode."""
        return build_object(self.separator, f"separator of the recipe {self.name}", Separator).train()

    def _inherit(self, value: Any, where: str) -> Any:
        """Fill in the seed, rate, ... that parts do not state, and make roots of corpora absolute."""
        if isinstance(value, (list, tuple)):
            return [self._inherit(part, where) for part in value]
        if not isinstance(value, Mapping):
            return value
        if "class_path" not in value:
            return {key: self._inherit(part, where) for key, part in value.items()}
        check({"class_path": value["class_path"]}, where)
        cls = find_class(value["class_path"], where)
        stated = self._inherit(value.get("init_args", {}), where)
        inherited = self._inherited(cls)
        if issubclass(cls, Corpus) and "root" in inspect.signature(cls).parameters:
            inherited["root"] = self._root(stated.pop("root", "."))
        return {**value, "init_args": {**inherited, **stated}}

    def _root(self, stated: str) -> str:
        if self.data.root is None and not Path(stated).is_absolute():
            raise ConfigError(f"where is the corpus of {self.name}? Give its folder: --data.root PATH")
        return str(expand_home(self.data.root or ".").absolute() / stated)

    def _inherited(self, cls: type[Any]) -> Config:
        if not issubclass(cls, _INHERITING):
            return {}
        arguments = {**self._separator_defaults(), **self.separator.get("init_args", {})}
        offered = {"seed": self.seed}
        offered |= {key: arguments[key] for key in ("sources", "sample_rate", "channels") if key in arguments}
        taken = inspect.signature(cls).parameters
        return {key: value for key, value in offered.items() if key in taken}

    def _separator_defaults(self) -> Config:
        """Defaults of the separator's class, such as mono."""
        where = f"separator of the recipe {self.name}"
        parameters = inspect.signature(find_class(self.separator.get("class_path", ""), where)).parameters
        return {name: taken.default for name, taken in parameters.items() if taken.default is not taken.empty}


def check_root(recipe: Recipe) -> None:
    """Refuse a `data.root` that no part of a recipe uses.

    Raises:
        UsageError: No corpus of the recipe is below the folder.
    """
    data = recipe.data
    parts = [data.train, *([] if data.valid is None else [data.valid]), *data.test.values()]
    if data.root is not None and not any(_uses_root(part, recipe.name) for part in parts):
        raise UsageError(
            f"the recipe {recipe.name} reads nothing from data.root {data.root}: "
            f"make one for that folder (soloist init NAME --root {data.root})"
        )


def _uses_root(value: Any, where: str) -> bool:
    """Tell whether a configuration has a corpus whose folder is relative to `data.root`."""
    if isinstance(value, (list, tuple)):
        return any(_uses_root(part, where) for part in value)
    if not isinstance(value, Mapping):
        return False
    if "class_path" in value:
        cls = find_class(value["class_path"], where)
        stated = value.get("init_args", {})
        if issubclass(cls, Corpus) and "root" in inspect.signature(cls).parameters:
            return not Path(stated.get("root", ".")).is_absolute()
    return any(_uses_root(part, where) for part in value.values())


def find_recipe(name_or_path: str | Path) -> Path:
    """Find the file of a recipe by its path or by the name of a shipped recipe.

    Raises:
        ConfigError: There is no such recipe.
    """
    path = expand_home(name_or_path)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in RECIPES.glob("*.yaml")}
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    raise ConfigError(f"there is no recipe {name_or_path}; {nearest(str(name_or_path), shipped)}")


def read_recipe(name_or_path: str | Path, overrides: Sequence[tuple[str, str]] = ()) -> Recipe:
    """Read a recipe.

    The key `recipe` names a base, a file beside this one or a shipped recipe; the other keys, dotted as in
    `overrides`, replace the base's.

    Args:
        name_or_path: File, or name of a shipped recipe.
        overrides: Dotted keys and YAML values in place of the file's: `("data.root", "/corpora")`.
            `init_args` may be left out: `separator.network.num_blocks`.

    Raises:
        ConfigError: There is no such recipe, a key is unknown or missing, or a value is of the wrong type.
    """
    path = find_recipe(name_or_path)
    values, stated = _read_values(path)
    values.setdefault("name", path.stem)
    values["imports"] = _imported(values, str(path))
    for key, value in overrides:
        override(values, key, value)
    recipe = Recipe.parse(values, str(path))
    for key in (*stated, *(key for key, _ in overrides)):
        check_key(values, key)
    return recipe


def _read_values(path: Path, followed: tuple[Path, ...] = ()) -> tuple[Config, list[str]]:
    """Read a file's values, on top of its base's, and the keys that the file states."""
    values = read_yaml(path)
    if "imports" in values:
        values["imports"] = _imported(values, str(path), path.parent)
    base = values.pop(_BASE, None)
    if base is None:
        return values, []
    if not isinstance(base, str):
        raise ConfigError(f"{path}: recipe must be the name or the file of one, not {base!r}")
    source = path.parent / base
    source = source if source.is_file() else find_recipe(base)
    followed = (*followed, path.resolve())
    if source.resolve() in followed:
        raise ConfigError(f"{path}: recipe {base} begins from this one, and this one from it")
    below, _ = _read_values(source, followed)
    below.pop("name", None)
    for key, value in values.items():
        put(below, key, value)
    return below, list(values)


def _check_rate(pattern: str, rate: float) -> None:
    check_expression("rates", pattern)
    if not rate >= 0:
        raise ConfigError(f"rates: {rate:g} of {pattern!r} must be 0 or more")


def _imported(values: Mapping[str, Any], where: str, folder: Path | None = None) -> list[str]:
    """Import the files and packages that a recipe and `--import` name, and return their names.

    Args:
        values: Recipe, as its file holds it.
        where: File of the recipe, for messages.
        folder: Folder to look for relative files in first.
    """
    stated = values.get("imports") or []
    if not isinstance(stated, list) or not all(isinstance(name, str) for name in stated):
        raise ConfigError(f"{where}: imports must be a list of files and packages, not {stated!r}")
    packages = [path.rpartition(".")[0] for path in class_paths_in(values)]
    code = [import_code(name, folder) for name in (*stated, *requested())]
    # A recipe is the user's own, so its class paths name installed packages well enough.
    code += [import_code(package) for package in packages if _is_of_others(package)]
    return list(dict.fromkeys(each.module if each.path is None else str(each.path) for each in code))


def _is_of_others(package: str) -> bool:
    first = package.partition(".")[0]
    ours = first in ("", "soloist", "torch") or first in sys.stdlib_module_names
    return not ours and not is_imported(package)


class PlainDumper(yaml.SafeDumper):
    """Writes tuples as lists, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write an anchor."""
        return True


PlainDumper.add_representer(tuple, yaml.SafeDumper.represent_list)
