"""Demucs's `apply_model` and `api.Separator`: chunks, shifts, bags, and the level of a whole track.

The authors run every member of a bag by itself, with chunks and shifts of its own, also with weights of
zero; a shorter segment of HTDemucs is padded with zeros on the right. Shifts are those of the vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from soloist.separators import Chunking, Level, Separator, separate_chunked
from soloist.zoo.importers.demucs import make_member, segment_of

Config = Mapping[str, Any]


def handles(config: Config) -> bool:
    """Tell whether a vector is of this code base, and of whole recordings."""
    return config.get("system") == "demucs" and "apply" in config


def from_reference(config: Config, state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild the function that a vector records.

    Returns:
        A recording `(channels, samples)`, as float or as bytes of which 128 is full scale, to stems
        `(1, sources, channels, samples)`.

    Raises:
        ModelError: An option is not supported, or the weights do not fit.
    """
    members = list(_members(config, state))
    weights = torch.tensor(config.get("weights") or [[1.0] * len(members[0].sources)] * len(members))
    offsets = _offsets(config, len(members))

    @torch.no_grad()
    def separate(recording: Tensor) -> Tensor:
        recording = torch.as_tensor(recording)
        mixture = (recording if recording.is_floating_point() else recording / 128).float()[None]
        level = Level.of(mixture)
        is_leveled = config.get("mode") == "api"
        seen = level.normalize(mixture) if is_leveled else mixture
        outputs = [
            _run(member, seen, config, shifts) for member, shifts in zip(members, offsets, strict=True)
        ]
        shares = (weights / weights.sum(dim=0))[:, None, :, None, None]
        estimates = (torch.stack(outputs) * shares).sum(dim=0)
        return level.restore(estimates, 1.0) if is_leveled else estimates

    return separate


def _members(config: Config, state: Mapping[str, Tensor]) -> Iterator[Separator]:
    """The networks of a bag, or the only one, each with the segment that the bag gives it."""
    listed = config.get("models") or [config]
    for place, member in enumerate(listed):
        prefix = f"models.{place}." if "models" in config else ""
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        options, segment = dict(member["kwargs"]), config.get("bag_segment")
        if segment and (member["class"] != "HTDemucs" or segment <= segment_of(options["segment"])):
            options["segment"] = segment
        yield make_member(member["class"], options, own).separator


def _offsets(config: Config, members: int) -> list[list[int]]:
    """Recorded shifts of each member."""
    drawn = list(config.get("shift_offsets", ()))
    each = len(drawn) // members
    return [drawn[place * each : (place + 1) * each] for place in range(members)]


def _run(member: Separator, mixture: Tensor, config: Config, shifts: list[int]) -> Tensor:
    """Average of one network over shifted mixtures; without shifts, the mixture as it is."""
    if not shifts:
        return _cut(member, mixture, config)
    most = int(0.5 * config["samplerate"])
    delays = [most - shift for shift in shifts]
    outputs = [_cut(member, pad(mixture, (delay, 0)), config)[..., delay:] for delay in delays]
    return torch.stack(outputs).mean(dim=0)


def _cut(member: Separator, mixture: Tensor, config: Config) -> Tensor:
    apply = config["apply"]
    if not apply["split"]:
        return member.estimate_any_length(mixture)
    segment = apply["segment"]
    length = member.chunk_length if segment is None else int(member.sample_rate * segment_of(segment))
    step = int((1 - apply["overlap"]) * length)
    fixed = segment is not None and member.input_length(1) == member.chunk_length
    widen = partial(max, length) if fixed else member.input_length
    chunking = Chunking(
        length, length - step, edges="centered", widen=widen, power=float(apply["transition_power"])
    )
    return separate_chunked(member, mixture, chunking)
