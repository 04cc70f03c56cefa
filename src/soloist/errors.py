"""Exceptions of Soloist, with one base class.

Every message is one line that names the thing and the way out. The command line prints the message without a
traceback and exits with `exit_code`.
"""

from __future__ import annotations

import re


class SoloistError(Exception):
    """Base class: a request to Soloist cannot be met."""

    exit_code = 1


class UsageError(SoloistError, ValueError):
    """Wrong argument: a value out of range, an unknown name, options that clash."""

    exit_code = 2


class ConfigError(UsageError):
    """Wrong recipe or configuration of a model: an unknown key, or a value of the wrong type."""


class AudioError(SoloistError):
    """Missing, empty, truncated or corrupt file or stream, or one that is not audio.

    Attributes:
        path: The file, if it belongs to a corpus.
    """

    path: str | None = None


class ModelError(SoloistError):
    """Unknown, missing or damaged model, or weights of another architecture."""


class ExportError(SoloistError):
    """Failed export: the format cannot hold the model, or the exported file computes something else."""


class TrainingError(SoloistError):
    """Failed training: the loss is not a number, or the state cannot be saved."""


class OutOfMemoryError(SoloistError):
    """Lack of memory."""


class Interrupted(SoloistError):  # noqa: N818 - nothing went wrong
    """Interrupted work, which can be resumed."""

    exit_code = 130


def explain(error: BaseException) -> str:
    """Message of an error for the user, with its kind if it is a fault of the program."""
    if isinstance(error, SoloistError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'input/output'}: {error.strerror or error}"
    return f"internal error: {type(error).__name__}: {error} (--debug shows where)"


def one_line(error: object) -> str:
    """Format an error on a single line; spaces stay, as those of a file's name."""
    return re.sub(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*", " ", str(error)).strip()
