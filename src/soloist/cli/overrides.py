"""Values of a recipe on the command line: `--data.root PATH`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields

from soloist.errors import UsageError

Override = tuple[str, str]
"""A dotted key and its value, as YAML."""


def parse_arguments(arguments: Iterable[str]) -> tuple[list[str], list[Override]]:
    """What stands alone, and the keys with their values, from `--key value` and `--key=value`.

    Raises:
        UsageError: A key has no value.
    """
    names, overrides = [], []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            names.append(argument)
            continue
        key, equals, value = argument.removeprefix("--").partition("=")
        if not equals and (value := next(rest, "")) == "":
            raise UsageError(f"{argument} needs a value")
        overrides.append((key, value))
    return names, overrides


def check_overrides(overrides: Sequence[Override], command: Callable[..., None]) -> None:
    """Refuse keys that no recipe has; a misspelt option of the command looks like one.

    Args:
        overrides: Keys and values.
        command: What they were given to.

    Raises:
        UsageError: There is no such key.
    """
    from soloist.config import nearest
    from soloist.training import Recipe

    keys = [field.name for field in fields(Recipe)]
    options = [
        name.replace("_", "-") for name in inspect.signature(command).parameters if name != "arguments"
    ]
    for key, _ in overrides:
        if key.partition(".")[0] not in keys:
            known = [f"--{name}" for name in (*keys, *options)]
            raise UsageError(f"there is no option --{key}; {nearest(f'--{key}', known)}")
