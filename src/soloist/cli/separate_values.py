"""Values of the options of `soloist separate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from soloist.cli.names import check_model
from soloist.errors import AudioError, UsageError

if TYPE_CHECKING:
    from soloist.audio import WriteOptions

Format = Literal["wav", "flac", "mp3", "ogg", "opus", "m4a", "stem"]
Task = Literal["stems", "talkers", "denoise"]
BitDepth = Literal["16", "24", "32"]


def check_inputs(inputs: list[str], output: Path) -> None:
    """Refuse inputs without any recording before slow imports; `Batch` reports bad ones among others.

    Raises:
        AudioError: The only input is a file that is not there.
        UsageError: A folder has no audio in it, or a glob matches nothing.
    """
    from soloist.inference import find_tracks
    from soloist.urls import missing

    if "-" not in inputs:
        tracks = find_tracks(inputs, exclude=output, failure=lambda given, error: None)
        if len(inputs) == len(tracks) == 1 and not os.path.lexists(tracks[0].path):
            raise AudioError(missing(tracks[0].path))


def is_library(inputs: list[str], jobs: int | None, cluster: str | None, device: str) -> bool:
    """Tell whether a command is a run over a library: by workers, a cluster, devices, a list, or URLs."""
    from soloist.library.library_lists import is_list
    from soloist.library.remote_files import is_remote

    shared = jobs is not None or cluster is not None or "," in device
    return shared or any(is_list(given) or is_remote(given) for given in inputs)


def choose_task(task: Task | None, talkers: int | None, model: str | None) -> Task:
    """Task of the model to choose; songs by default."""
    if model is not None and (task or talkers):
        raise UsageError("--task and --talkers choose a model, and --model names one: give either")
    if talkers and task not in (None, "talkers"):
        raise UsageError(f"--talkers counts talkers, and --task {task} has none: leave one out")
    return "talkers" if talkers else task or "stems"


def parse_audio_track(given: str | None) -> int | str:
    """Number of an audio track from 0, or its language or name."""
    if given is None:
        return 0
    if not given.strip():
        raise UsageError("--audio-track needs a number from 1, or a language such as eng")
    if not given.strip().lstrip("-").isdecimal():
        return given.strip()
    if int(given) < 1:
        raise UsageError(f"--audio-track counts from 1, not {given}")
    return int(given) - 1


def make_write_options(
    format_: Format | None,
    mp3: bool,
    flac: bool,
    bit_depth: BitDepth | None,
    int24: bool,
    float32: bool,
    bitrate: int | None,
    clip: Literal["rescale", "clamp", "none"],
) -> WriteOptions:
    """Options for writing the stems, from the options of the command and their short forms."""
    from soloist.audio import WriteOptions

    formats = _agree("formats", format_, mp3 and "mp3", flac and "flac")
    depth = _agree("bit depths", bit_depth, int24 and "24", float32 and "32")
    return WriteOptions(
        format=formats or "wav",  # type: ignore[arg-type]
        bit_depth=None if depth is None else int(depth),  # type: ignore[arg-type]
        bitrate=bitrate,
        clip=clip,
    )


def _agree(what: str, *given: str | bool | None) -> str | None:
    """The value of an option and its short forms, which must agree."""
    values = {str(value) for value in given if value}
    if len(values) > 1:
        raise UsageError(f"choose one of the {what} {' and '.join(sorted(values))}")
    return values.pop() if values else None


def choose_model(
    model: str | None, chain: str | None, without: Sequence[str] | None, *, fetch: bool
) -> tuple[str | None, str]:
    """Name of the model or chain that was asked for, and the reason where it was chosen.

    Args:
        model: Value of --model.
        chain: Value of --chain.
        without: Names in --without, for which the cheapest model that knows them is taken; or None.
        fetch: Allow models that have to be downloaded first.

    Raises:
        UsageError: A model and a chain are named.
        ModelError: There is no such model or chain, or no model knows the stems.
    """
    if model is not None and chain is not None:
        raise UsageError("--model and --chain exclude each other")
    if chain is not None:
        from soloist.zoo.composition_files import find_chain

        model = find_chain(chain)
    if model is not None:
        check_model(model)
    elif without is not None:
        from soloist.zoo.cheapest_model import cheapest_model

        name = cheapest_model(without, fetch=fetch).name
        return name, f"the cheapest model that knows {' and '.join(without)}; -m NAME takes another"
    return model, ""
