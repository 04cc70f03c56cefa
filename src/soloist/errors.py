"""The exceptions that Soloist raises on purpose: one small family that a caller can catch.

Every message is one line that names the thing and the way out. The command line prints it without
a traceback and exits with `exit_code`.
"""

from __future__ import annotations

import re


class SoloistError(Exception):
    """Something that Soloist was asked to do cannot be done."""

    exit_code = 1


class UsageError(SoloistError, ValueError):
    """An argument is wrong: a value out of range, a name that does not exist, options that clash."""

    exit_code = 2


class ConfigError(UsageError):
    """A recipe or a model's configuration has an unknown key or a value of the wrong type."""


class AudioError(SoloistError):
    """A file or stream is missing, empty, truncated, corrupt, or not audio.

    Attributes:
        path: The file, where it is one of a corpus.
    """

    path: str | None = None


class ModelError(SoloistError):
    """A model is unknown, not on disk, damaged, or its weights belong to another architecture."""


class ExportError(SoloistError):
    """A model cannot be written down in a format, or what was written computes something else."""


class TrainingError(SoloistError):
    """A training cannot go on: its loss is not a number, or its state cannot be saved."""


class OutOfMemoryError(SoloistError):
    """The memory does not suffice."""


class Interrupted(SoloistError):  # noqa: N818 - nothing went wrong
    """Somebody stopped the work, which can be gone on with."""

    exit_code = 130


def one_line(error: object) -> str:
    """The text of an error on a single line."""
    return re.sub(r"\s+", " ", str(error)).strip()
