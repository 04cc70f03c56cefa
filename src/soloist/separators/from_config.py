"""Separators from their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from soloist.config import build_object
from soloist.separators.separator import Separator


def build_separator(config: Mapping[str, Any], where: str) -> Separator:
    """Build the separator that a configuration describes, with fresh weights, in eval mode.

    Args:
        config: `class_path` and `init_args`; a part of the separator is another such mapping.
        where: Owner of the configuration, for messages.

    Raises:
        ConfigError: As `build_object` does.
    """
    return build_object(config, where, Separator).eval()
