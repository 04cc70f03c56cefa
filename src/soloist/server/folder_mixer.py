"""A folder of stems as a finished job, for the mixer."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from soloist.audio import AUDIO_SUFFIXES, AudioReader, StemWriter, WriteOptions, probe
from soloist.errors import UsageError
from soloist.server.job_store import JobStore
from soloist.server.jobs import MIXTURE, Job
from soloist.server.separation_worker import keep_tracks


def mixer_job(folder: Path, store: JobStore) -> Job:
    """Copy the stems of a folder into a finished job.

    Args:
        folder: Folder of stems of one rate, with or without a file `mixture`; else the stems are summed.
        store: Store of the job.

    Raises:
        UsageError: The folder has no stems, or their rates or channels differ.
        AudioError: A file cannot be read.
    """
    files = _find(folder)
    mixture = files.pop(MIXTURE, None)
    if not files:
        raise UsageError(f"no stems in the folder {folder}: name a folder that soloist separate wrote")
    kinds = {(info.sample_rate, info.channels) for info in map(probe, files.values())}
    if len(kinds) > 1:
        raise UsageError(f"the files in {folder} are not stems of one song: their rates or channels differ")
    job = store.create(name=folder.resolve().name)
    [(job.sample_rate, job.channels)] = kinds
    job.stems = list(files)
    _copy(job, files, mixture)
    job.samples = keep_tracks(job, {n: job.folder / f"{n}.flac" for n, _ in enumerate(files, 1)})
    job.state, job.finished = "finished", time.time()
    job.done = job.duration = job.samples / job.sample_rate
    store.save(job)
    return job


def _find(folder: Path) -> dict[str, Path]:
    """Sound files of a folder by their names without suffix."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in AUDIO_SUFFIXES]
    return {path.stem: path for path in found if path.is_file()}


def _copy(job: Job, files: dict[str, Path], mixture: Path | None) -> None:
    """Write the stems as FLAC, and the mixture as the upload of the job; one gain keeps all from clipping."""
    paths = {name: job.folder / f"{number}.flac" for number, name in enumerate(files, 1)}
    paths[MIXTURE] = job.folder / f"{MIXTURE}.flac"
    readers = [AudioReader(path) for path in [*files.values(), *filter(None, [mixture])]]
    with StemWriter(paths, job.sample_rate, job.channels, WriteOptions("flac")) as writer:
        for blocks in zip(*(reader.blocks() for reader in readers), strict=False):
            length = min(block.shape[1] for block in blocks)
            cut = [block[:, :length] for block in blocks]
            stems = cut[: len(files)]
            writer.write(np.stack([*stems, cut[-1] if mixture else np.sum(stems, axis=0)]))
        writer.commit()
    for reader in readers:
        reader.close()
    paths[MIXTURE].rename(job.upload)
