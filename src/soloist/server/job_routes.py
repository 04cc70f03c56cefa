"""Routes of jobs: uploads, states, events, deletion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from soloist.files import json_text
from soloist.server.jobs import Job
from soloist.server.mixdown import PIECE
from soloist.server.service import Service

router = APIRouter()

_WATCH = 0.3
"""Seconds between two looks for changes."""

_HEARTBEAT = 50
"""Looks without a change after which a stream of events tells that it still lives."""

_EVENTS = "text/event-stream"


def find_service(request: Request) -> Service:
    """The service that answers a request."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


Serving = Annotated[Service, Depends(find_service)]


def find_job(service: Serving, job_id: Annotated[str, Path(max_length=64)]) -> Job:
    """The job of a request.

    Raises:
        HTTPException: There is no such job, or no longer.
    """
    try:
        return service.jobs.get(job_id)
    except KeyError:
        raise HTTPException(404, "there is no such job; finished jobs are deleted after a while") from None


Asked = Annotated[Job, Depends(find_job)]


@router.get("/offers")
def offers(service: Serving) -> dict[str, Any]:
    """List tasks and models, and the limits of the service."""
    listed = [asdict(offer) for offer in service.offers()]
    return {"offers": listed, "upload_limit": service.limits.upload, "piece_seconds": PIECE}


@router.post("/jobs", status_code=202)
async def create_job(
    request: Request,
    service: Serving,
    name: Annotated[str, Query(description="Name of the song, for people.")] = "song",
    offer: Annotated[str, Query(description="A task or a model; see /api/offers.")] = "stems",
    x_client: Annotated[str, Header(description="Origin of the job, for a fair order.", max_length=64)] = "",
) -> dict[str, Any]:
    """Separate a song: the body of the request is its file, in any format.

    The upload goes straight to the disk. The answer has the `id` of the job.
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > service.limits.upload:
        raise _too_large(service)
    client = f"{request.client.host if request.client else ''} {x_client}"
    job = await run_in_threadpool(service.receive, name, offer, client)
    try:
        await _store_upload(request, service, job)
    except BaseException:
        service.delete(job)
        raise
    return _public(service, job)


@router.get("/jobs")
def list_jobs(service: Serving) -> list[dict[str, Any]]:
    """List all jobs, the oldest first."""
    return _all(service)


@router.get("/jobs/{job_id}")
def show_job(service: Serving, job: Asked) -> dict[str, Any]:
    """Show the state of a job."""
    return _public(service, job)


@router.get("/jobs/{job_id}/events")
def watch_job(service: Serving, job: Asked) -> StreamingResponse:
    """Stream the state of a job as server-sent events until it has finished."""
    return StreamingResponse(_stream_job(service, job), media_type=_EVENTS)


@router.get("/events")
def watch_jobs(service: Serving) -> StreamingResponse:
    """Stream the states of all jobs, and notices about deleted ones, as server-sent events."""
    return StreamingResponse(_stream_jobs(service), media_type=_EVENTS)


@router.delete("/jobs/{job_id}", status_code=204)
def delete_job(service: Serving, job: Asked) -> Response:
    """Stop a job if it is active, and delete it with its files."""
    service.delete(job)
    return Response(status_code=204)


async def _store_upload(request: Request, service: Service, job: Job) -> None:
    """Write the body of a request to the job's file, block by block."""
    received, stream = 0, request.stream().__aiter__()
    with job.upload.open("wb") as file:
        while True:
            try:
                block = await asyncio.wait_for(anext(stream), service.limits.silence)
            except StopAsyncIteration:
                break
            except TimeoutError:
                raise HTTPException(408, f"no byte came for {service.limits.silence:g} s") from None
            except ClientDisconnect:
                raise HTTPException(400, "the upload broke off") from None
            received += len(block)
            if received > service.limits.upload:
                raise _too_large(service)
            await run_in_threadpool(file.write, block)
    if not received:
        raise HTTPException(400, "the upload is empty: send the file as the body of the request")
    await run_in_threadpool(service.received, job)


def _too_large(service: Service) -> HTTPException:
    return HTTPException(413, f"an upload may have {service.limits.upload / 1e6:g} MB")


def _all(service: Service) -> list[dict[str, Any]]:
    order = service.queue.order()
    return [_public(service, job, order) for job in service.jobs]


def _public(service: Service, job: Job, order: list[str] | None = None) -> dict[str, Any]:
    """State of a job, with its place among those that wait, from 1."""
    order = service.queue.order() if order is None else order
    return {**job.public(), "place": order.index(job.id) + 1 if job.id in order else None}


async def _stream_job(service: Service, job: Job) -> AsyncIterator[str]:
    """Yield the states of a job until it has finished, failed or been deleted."""
    events = _Events()
    while job.is_active and job in service.jobs:
        yield events.next(_public(service, job))
        await asyncio.sleep(_WATCH)
    yield events.next(_public(service, job))


async def _stream_jobs(service: Service) -> AsyncIterator[str]:
    """Yield the states of all jobs, for ever."""
    events = _Events()
    while True:
        yield events.next({"jobs": _all(service), "notices": list(service.jobs.notices)})
        await asyncio.sleep(_WATCH)


class _Events:
    """Lines of server-sent events: only what differs from the last one is sent."""

    def __init__(self) -> None:
        self._last = ""
        self._silent = 0

    def next(self, value: object) -> str:
        """The next line; empty if there is nothing to tell, and a comment now and then for proxies."""
        self._silent += 1
        if (text := json_text(value)) != self._last:
            self._last, self._silent = text, 0
            return f"data: {text}\n\n"
        return ": still here\n\n" if self._silent % _HEARTBEAT == 0 else ""
