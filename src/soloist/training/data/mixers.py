"""Mixers of a recipe, with curriculum, sampler and example cache."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

from soloist import __version__
from soloist.config import Config, check, find_class
from soloist.errors import ConfigError
from soloist.files import expand_home
from soloist.mixing import KeptMixer, Mixer, PoolMixer
from soloist.training.data.batches import RETRY_STRIDE, in_batches, make_loader
from soloist.training.data.curriculum import Curriculum, PhasedMixer
from soloist.training.data.sampler import SampledMixer, Sampler
from soloist.training.recipe.recipe import Recipe


def build_train_mixer(recipe: Recipe) -> Mixer:
    """Build the mixer of the training examples.

    Raises:
        ConfigError: The configuration is not valid.
        UsageError: A corpus is not there.
    """
    mixers = [_ordered(recipe, part) for part in _phases(recipe)]
    return mixers[0] if len(mixers) == 1 else PhasedMixer(mixers, Curriculum.of(recipe.data), RETRY_STRIDE)


def build_valid_mixer(recipe: Recipe) -> Mixer | None:
    """Build the mixer of the validation examples; None without validation.

    Raises:
        ConfigError: The configuration is not valid.
        UsageError: A corpus is not there.
    """
    valid = recipe.data.valid
    return None if valid is None else _kept(recipe, recipe.data.mixer(valid))


def fill_cache(recipe: Recipe) -> int:
    """Draw the examples that are missing in the folder of `data.cache`, with `data.workers` processes.

    Returns:
        Number of examples in the folder.

    Raises:
        SoloistError: Too many examples in a row cannot be read, or one cannot be written.
    """
    data, cache = recipe.data, recipe.data.kept
    if cache is None or cache.folder is None:
        return 0
    parts = [(_kept(recipe, part), cache.examples) for part in _phases(recipe)]
    if (valid := build_valid_mixer(recipe)) is not None:
        parts.append((valid, data.valid_examples or len(valid)))
    for mixer, count in parts:
        for _ in make_loader(mixer, in_batches(count, 1), workers=data.workers):
            pass
    return sum(count for _, count in parts)


def with_duration(part: Config, duration: float, where: str) -> Config:
    """Change the duration of a mixer's configuration, and of mixers inside it.

    Args:
        part: `class_path` and `init_args`.
        duration: Seconds.
        where: Name of the recipe, for messages.

    Raises:
        ConfigError: No mixer in `part` has a duration.
    """
    check(part, f"data.train of {where}")
    changed = _set_duration(part, duration, where)
    if changed is part:
        raise ConfigError(f"data.curriculum of {where}: {part['class_path']} has no duration to change")
    return changed


def _phases(recipe: Recipe) -> list[Config]:
    """Configuration of the training mixer in each phase, and after all phases."""
    train = recipe.data.train
    durations = [phase.duration for phase in recipe.data.phases]
    return [*(train if d is None else with_duration(train, d, recipe.name) for d in durations), train]


def _ordered(recipe: Recipe, part: Config) -> Mixer:
    """Training mixer of a phase, whose examples the sampler, the cache or their numbers put in order."""
    mixer, cache, data = _kept(recipe, part), recipe.data.kept, recipe.data
    examples = RETRY_STRIDE if cache is None else cache.examples
    if data.sampler is not None:
        sampler = recipe.build(data.sampler, Sampler)
        return SampledMixer(mixer, sampler, Curriculum.of(data), RETRY_STRIDE, examples)
    return mixer if cache is None else PoolMixer(mixer, examples)


def _kept(recipe: Recipe, part: Config) -> Mixer:
    mixer: Mixer = recipe.build(part, Mixer)
    cache = recipe.data.kept
    if cache is None:
        return mixer
    if cache.folder is None:
        return KeptMixer(mixer)
    return KeptMixer(mixer, expand_home(cache.folder) / _fingerprint(recipe.resolve(part)))


def _fingerprint(part: Config) -> str:
    """Hash of a mixer's configuration and of the version, with which drawing may change."""
    text = json.dumps([__version__, part], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _set_duration(value: Any, duration: float, where: str) -> Any:
    """Value with every mixer's duration changed; the same object without any."""
    if isinstance(value, (list, tuple)):
        parts = [_set_duration(part, duration, where) for part in value]
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else parts
    if not isinstance(value, Mapping):
        return value
    if _has_duration(value, where):
        return {**value, "init_args": {**value.get("init_args", {}), "duration": duration}}
    changed = {key: _set_duration(part, duration, where) for key, part in value.items()}
    return value if all(changed[key] is value[key] for key in value) else changed


def _has_duration(value: Mapping[str, Any], where: str) -> bool:
    if "class_path" not in value:
        return False
    cls = find_class(value["class_path"], where)
    return issubclass(cls, Mixer) and "duration" in inspect.signature(cls).parameters
