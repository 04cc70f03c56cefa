"""Routes of sounds: stems, pieces to play, peaks, spectrograms, mixes, archives."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from soloist.audio import WriteOptions
from soloist.audio.file_formats import Format
from soloist.players import ZOOMS
from soloist.server.job_routes import Asked
from soloist.server.jobs import Job
from soloist.server.mixdown import Fader, plain_name, read_piece, stream_archive, write_mix, write_stems

router = APIRouter()

_FOREVER = {"Cache-Control": "private, max-age=86400, immutable"}
_LOSSLESS = "flac"
_Format = Annotated[Format, Query(description="Format of the file.", alias="format")]
_Bitrate = Annotated[int | None, Query(description="kbit/s of lossy formats.")]


def find_finished(job: Asked) -> Job:
    """The job of a request, which must have finished.

    Raises:
        HTTPException: It has not, or it failed.
    """
    if job.state != "finished":
        raise HTTPException(409, f"the job is {job.state}{f': {job.error}' if job.error else ''}")
    return job


Finished = Annotated[Job, Depends(find_finished)]


@router.get("/jobs/{job_id}/stems/{name}", response_class=FileResponse)
def stem(job: Finished, name: str, format_: _Format = "flac", bitrate: _Bitrate = None) -> Response:
    """Send a stem, or the mixture under this name; FLAC can be asked for in ranges."""
    path = _track(job, name)
    if format_ == _LOSSLESS:
        return FileResponse(path, headers=_attachment(f"{job.name} ({name}).flac"), media_type="audio/flac")
    options = WriteOptions(format_, bitrate=bitrate)
    return _made(
        job, f"{job.name} ({name})", options, lambda file: write_mix(job, [Fader(name)], options, file)
    )


@router.get("/jobs/{job_id}/stems/{name}/pieces/{number}")
def piece(job: Finished, name: str, number: int) -> Response:
    """Send a piece of a stem as FLAC; `/api/offers` tells its length."""
    _track(job, name)
    try:
        return Response(read_piece(job, name, number), headers=_FOREVER, media_type="audio/flac")
    except KeyError:
        raise HTTPException(404, f"{name} has no piece {number}") from None


@router.get("/jobs/{job_id}/stems/{name}/peaks/{zoom}")
def peaks(job: Finished, name: str, zoom: int) -> Response:
    """Send the lowest and the highest value of each bin of a stem, signed bytes.

    The zoom is the number of samples of a bin: 256, 1024, 4096 or 16384.
    """
    _track(job, name)
    if zoom not in ZOOMS:
        raise HTTPException(404, f"there are peaks of {', '.join(map(str, ZOOMS))} samples, not of {zoom}")
    return FileResponse(job.peaks(name, zoom), headers=_FOREVER, media_type="application/octet-stream")


@router.get("/jobs/{job_id}/stems/{name}/spectrogram", response_class=FileResponse)
def spectrogram(job: Finished, name: str) -> Response:
    """Send the spectrogram of a stem as a picture: time to the right, frequency upwards."""
    _track(job, name)
    return FileResponse(job.spectrogram(name), headers=_FOREVER, media_type="image/png")


@router.get("/jobs/{job_id}/mix", response_class=FileResponse)
def mix(
    job: Finished,
    track: Annotated[
        list[str], Query(description="NAME,LEVEL in dB,PLACE from -1 to 1; once for each track.")
    ],
    format_: _Format = "flac",
    bitrate: _Bitrate = None,
) -> Response:
    """Send a mix of stems: each at its level and place, the others silent."""
    faders, options = [Fader.parse(text) for text in track], WriteOptions(format_, bitrate=bitrate)
    for fader in faders:
        _track(job, fader.track)
    return _made(job, f"{job.name} (mix)", options, lambda file: write_mix(job, faders, options, file))


@router.get("/jobs/{job_id}/stems.zip", response_class=StreamingResponse)
def archive(job: Finished, format_: _Format = "flac", bitrate: _Bitrate = None) -> Response:
    """Send all stems as a zip."""
    content = stream_archive(job, WriteOptions(format_, bitrate=bitrate))
    return StreamingResponse(content, headers=_attachment(f"{job.name}.zip"), media_type="application/zip")


@router.get("/jobs/{job_id}/stems.mp4", response_class=FileResponse)
def stem_file(job: Finished) -> Response:
    """Send one file with all stems, which DJ programs open."""
    options = WriteOptions("stem")
    return _made(job, job.name, options, lambda file: write_stems(job, options, file))


def _track(job: Job, name: str) -> Path:
    try:
        return job.track(name)
    except KeyError:
        raise HTTPException(404, f"there is no stem {name!r}; there are {', '.join(job.tracks)}") from None


def _made(job: Job, title: str, options: WriteOptions, write: Callable[[Path], None]) -> Response:
    """Answer with a file that is made for it, and deleted after it was sent."""
    scratch = Path(tempfile.mkdtemp(prefix="made-", dir=job.folder))
    try:
        write(file := scratch / f"made.{options.extension}")
    except BaseException:
        shutil.rmtree(scratch)
        raise
    return FileResponse(
        file,
        headers=_attachment(f"{title}.{options.extension}"),
        background=BackgroundTask(shutil.rmtree, scratch, ignore_errors=True),
    )


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(plain_name(name))}"}
