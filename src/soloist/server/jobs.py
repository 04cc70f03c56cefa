"""Jobs: one upload each, from its first byte to its stems."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from soloist.files import json_text, write_whole

State = Literal["receiving", "waiting", "running", "finished", "failed"]

MIXTURE = "mixture"
"""Name of the upload itself among the tracks of a finished job."""

_RECORD, _UPLOAD, _STEMS, _PEAKS = "job.json", "upload", "stems", "peaks"
_INTERNAL = ("client", "folder")


@dataclass(eq=False)
class Job:
    """One upload and its separation.

    Attributes:
        folder: Folder of the job: upload, stems, peaks and record.
        client: Origin of the job, for a fair order.
        name: Name of the upload, as its sender calls it; never part of a path.
        offer: Name of the chosen offer, see `soloist.server.Offer`.
        model: Model that separates; empty for the best.
        two_stems: Stem that is separated from everything else; empty for all stems.
        preset: Preset of the mixer with which the result opens; empty for none.
        state: State of the job.
        phase: Present activity, for the user.
        done: Separated seconds.
        duration: Seconds of the upload; None before it was opened, or if its length is unknown.
        created, started, finished: Times in s since 1970; None before.
        attempts: Number of times that the job was begun.
        error: Line about the failure.
        notes: Lines for the user.
        stems: Names of the stems.
        sample_rate: Rate of the stems, Hz.
        channels: Channels of each stem.
        size: Bytes of the upload.
        samples: Length of each stem.
        null_dbfs: Level of the mixture minus the sum of the stems, dB of full scale.
    """

    folder: Path
    client: str = ""
    name: str = ""
    offer: str = ""
    model: str = ""
    two_stems: str = ""
    preset: str = ""
    state: State = "receiving"
    phase: str = ""
    done: float = 0.0
    duration: float | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    error: str = ""
    notes: list[str] = field(default_factory=list)
    stems: list[str] = field(default_factory=list)
    sample_rate: int = 0
    channels: int = 0
    size: int = 0
    samples: int = 0
    null_dbfs: float | None = None

    @property
    def id(self) -> str:
        """Identifier, which cannot be guessed."""
        return self.folder.name

    @property
    def upload(self) -> Path:
        """File of the upload."""
        return self.folder / _UPLOAD

    @property
    def track_folder(self) -> Path:
        """Folder of the mixture (`0.flac`) and the stems (`1.flac` and so on)."""
        return self.folder / _STEMS

    @property
    def peak_folder(self) -> Path:
        """Folder of the peaks."""
        return self.folder / _PEAKS

    @property
    def is_active(self) -> bool:
        """True until the job has finished or failed."""
        return self.state in ("receiving", "waiting", "running")

    @property
    def tracks(self) -> list[str]:
        """Names of what can be heard: the mixture and the stems."""
        return [MIXTURE, *self.stems] if self.stems else []

    def track(self, name: str) -> Path:
        """File of the mixture or of a stem.

        Raises:
            KeyError: The job has no such track.
        """
        return self.track_folder / f"{self._number(name)}.flac"

    def peaks(self, name: str, zoom: int) -> Path:
        """File of the peaks of the mixture or of a stem at a zoom.

        Raises:
            KeyError: The job has no such track.
        """
        return self.peak_folder / f"{self._number(name)}-{zoom:d}"

    def spectrogram(self, name: str) -> Path:
        """File of the spectrogram of the mixture or of a stem.

        Raises:
            KeyError: The job has no such track.
        """
        return self.peak_folder / f"{self._number(name)}.png"

    def _number(self, name: str) -> int:
        """Number of a track; its name is not part of a path."""
        if name not in self.tracks:
            raise KeyError(name)
        return self.tracks.index(name)

    def save(self) -> None:
        """Write the record of the job."""
        write_whole(self.folder / _RECORD, json_text(asdict(self) | {"folder": None}))

    @classmethod
    def load(cls, folder: Path) -> Job | None:
        """Read the record of a job; None if it is missing or damaged."""
        try:
            values = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            known = {each.name for each in fields(cls)} - {"folder"}
            job = cls(folder, **{key: value for key, value in values.items() if key in known})
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        return job if job.state in get_args(State) else None

    def public(self) -> dict[str, Any]:
        """Plain values for the answer to a request."""
        values = asdict(self)
        for name in _INTERNAL:
            del values[name]
        return {"id": self.id, **values}


def new_identifier() -> str:
    """Draw an identifier that cannot be guessed, as the name of a folder."""
    return secrets.token_hex(12)
