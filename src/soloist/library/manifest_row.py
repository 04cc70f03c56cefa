"""Rows of a manifest: a recording, the conditions of its separation, and its outcome."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from soloist.errors import AudioError, ModelError, OutOfMemoryError, SoloistError, UsageError
from soloist.files import json_text
from soloist.inference import FileSettings, StemSelection, StreamSettings
from soloist.inference.file_settings import WriteOptions

State = Literal["done", "found", "failed"]
"""Outcome of a row: separated, found finished on disk, failed."""

CRASH = "crash"
"""Kind of failure in which the worker died."""

MENDABLE = ("memory", "system", "internal")
"""Kinds of failure that another attempt, on another machine, may mend."""

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (OutOfMemoryError, "memory"),
    (UsageError, "usage"),
    (ModelError, "model"),
    (AudioError, "audio"),
    (SoloistError, "other"),
    (OSError, "system"),
)
_BY_FILE = ("folder", "start", "duration", "skip_existing", "overwrite")
"""Settings that are not conditions: those of a row, and those that change no sample."""


@dataclass(frozen=True)
class OutputFile:
    """File of a stem.

    Attributes:
        path: Path below the output folder, with `/`.
        size: Length in bytes.
        sha256: SHA-256 in hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Conditions:
    """Conditions of a separation that many rows share.

    Attributes:
        model: Name of the model.
        model_hash: Hash of its weights and attributes.
        settings: Settings of the separation as plain values, without place and excerpt.
        versions: Versions of the programs and the machine that have part in the samples.
        host: Name of the machine.
        device: Device of the computation.
        engine: Engine of the network.
    """

    model: str
    model_hash: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    device: str = ""
    engine: str = ""

    @cached_property
    def text(self) -> str:
        """JSON of the conditions, the same for the same values."""
        values = asdict(self)
        return json_text({key: values[key] for key in sorted(values)})


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """Row of a manifest.

    Attributes:
        key: Key of the work; see `work_key`.
        input: Absolute path or URL of the recording.
        name: Name of the track, of which the names of its stems are made.
        size: Length of the file in bytes.
        modified: Time of its last change, ns; for a URL a number that changes with the content.
        start: Start of the excerpt, s.
        duration: Duration of the excerpt, s; None for the rest.
        conditions: Model, settings, versions.
        state: Outcome.
        sha256: SHA-256 of the recording; empty if it could not be read.
        outputs: Files of the stems.
        seconds: Seconds of audio.
        elapsed: Seconds of the separation.
        memory: Peak memory of the worker so far, MB.
        null_dbfs: Level of the mixture minus the sum of the stems, dB of full scale.
        confidence: Mean clustering confidence; see `SeparationReport`.
        kind: Kind of a failure.
        error: Line about a failure.
        attempts: Number of attempts.
        finished: Time of the end, s since 1970.
    """

    key: int
    input: str
    name: str
    size: int
    modified: int
    start: float
    duration: float | None
    conditions: Conditions
    state: State
    sha256: str = ""
    outputs: tuple[OutputFile, ...] = ()
    seconds: float | None = None
    elapsed: float = 0.0
    memory: float | None = None
    null_dbfs: float | None = None
    confidence: Mapping[str, float | None] | None = None
    kind: str = ""
    error: str = ""
    attempts: int = 1
    finished: float = 0.0


@dataclass(frozen=True)
class FinishedWork:
    """Row of a manifest as a run looks it up, for each of its files.

    Attributes:
        size: Length of the recording in bytes.
        modified: Time of its last change.
        model_hash: Hash of the model.
        outputs: Length and path below the output folder of each file.
    """

    size: int
    modified: int
    model_hash: str
    outputs: Sequence[tuple[int, str]]

    def is_there(self, folder: Path) -> bool:
        """Return True if all files of the stems are in the output folder, with their lengths."""
        try:
            return bool(self.outputs) and all(
                os.stat(os.path.join(folder, path)).st_size == size for size, path in self.outputs
            )
        except OSError:
            return False


def work_key(name: str, start: float, duration: float | None, model: str, settings: str) -> int:
    """Number of a piece of work, the same for the same recording, excerpt, model and settings.

    Args:
        name: Absolute path or URL of the recording, and the name of its track.
        start: Start of the excerpt, s.
        duration: Duration, s.
        model: Name of the model.
        settings: Settings as text.
    """
    text = "\0".join((name, repr(start), repr(duration), model, settings))
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def kind_of(error: BaseException) -> str:
    """Kind of an error in one word: audio, model, usage, memory, system, internal."""
    return next((kind for cls, kind in _KINDS if isinstance(error, cls)), "internal")


def plain_settings(settings: FileSettings) -> dict[str, Any]:
    """Settings that rows share, as plain values for JSON."""
    values = {key: value for key, value in asdict(settings).items() if key not in _BY_FILE}
    plain: dict[str, Any] = json.loads(json_text(values))
    return plain


def settings_of(row: ManifestRow, folder: Path) -> FileSettings:
    """Settings that separate the recording of a row again, into a folder.

    Raises:
        UsageError: A value is of a later version of Soloist.
    """
    values = dict(row.conditions.settings)
    try:
        selection: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.pop("selection").items()
        }
        return FileSettings(
            folder=folder,
            start=row.start,
            duration=row.duration,
            selection=StemSelection(**selection),
            stream=StreamSettings(**values.pop("stream")),
            write=WriteOptions(**values.pop("write")),
            **values,
        )
    except (TypeError, KeyError) as error:
        raise UsageError(f"the row has settings of another version of Soloist: {error}") from error
