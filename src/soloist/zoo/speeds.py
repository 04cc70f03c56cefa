"""Speeds of models on this machine, as `soloist tune` measured them, for lists that load no model."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from soloist.files import home, json_text, write_whole


def save_speed(model: str, speed: float) -> None:
    """Store the speed of a model, in seconds of audio for each second."""
    speeds = _read()
    speeds.setdefault(platform.node(), {})[model] = speed
    write_whole(_file(), json_text(speeds, indent=1))


def load_speeds() -> dict[str, float]:
    """Measured speeds of models on this machine, by name."""
    return _read().get(platform.node(), {})


def _file() -> Path:
    return home() / "speeds.json"


def _read() -> dict[str, dict[str, float]]:
    try:
        values = json.loads(_file().read_text(encoding="utf-8"))
        return {
            str(node): {str(name): float(speed) for name, speed in speeds.items()}
            for node, speeds in values.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        # Missing or damaged: as if nothing was measured.
        return {}
