"""Regular expressions that come from recipes."""

from __future__ import annotations

import re

from soloist.errors import ConfigError


def compile_expression(expression: str) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises:
        ConfigError: It is not one.
    """
    try:
        return re.compile(expression)
    except re.error as error:
        raise ConfigError(f"{expression!r} is not a regular expression: {error}") from error
