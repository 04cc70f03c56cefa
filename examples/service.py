"""A web service: post a recording of any format, get one of its stems as FLAC.

pip install fastapi uvicorn
uvicorn service:app --app-dir examples
curl --data-binary @song.mp3 'http://localhost:8000/stems/harmonic?model=hpss' -o harmonic.flac
"""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response

import soloist

MOST_BYTES = int(os.environ.get("MOST_BYTES", 50_000_000))
MOST_SECONDS = float(os.environ.get("MOST_SECONDS", 600))
ONE_AT_A_TIME = asyncio.Semaphore(1)

app = FastAPI(title="Stems")


async def receive(request: Request) -> io.BytesIO:
    """Read an upload, and refuse it as soon as it is too large, whatever its header says."""
    upload = io.BytesIO()
    async for piece in request.stream():
        if upload.tell() + len(piece) > MOST_BYTES:
            raise HTTPException(413, f"the recording has more than {MOST_BYTES} bytes")
        upload.write(piece)
    upload.seek(0)
    return upload


@app.post("/stems/{stem}")
async def separate(stem: str, request: Request, model: str | None = None) -> Response:
    """Separate the first minutes of a recording."""
    upload = await receive(request)
    try:
        async with ONE_AT_A_TIME:
            separation = await soloist.separate_async(upload, model=model, stems=stem, duration=MOST_SECONDS)
    except (soloist.AudioError, soloist.UsageError, soloist.ModelError) as error:
        raise HTTPException(422, str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        files = await asyncio.to_thread(separation.save, Path(folder), format="flac")
        return Response(files[stem].read_bytes(), media_type="audio/flac")
