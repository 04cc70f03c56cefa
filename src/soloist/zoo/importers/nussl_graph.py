"""Modules in the graph of a saved model of nussl, a recurrent network on spectrograms.

magnitudes - (levels in dB) - (normalisation) - (mel bands) - recurrent stack -+- (embeddings)
                                                                               +- (masks)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from soloist.errors import ModelError

# Places of modules before the recurrent stack, in order.
_PLACES = {"AmplitudeToDB": "decibels", "BatchNorm": "norm", "InstanceNorm": "norm", "MelProjection": "mel"}
_FRONT = ("decibels", "norm", "mel")


@dataclass(frozen=True)
class NusslModule:
    """A module of the graph.

    Attributes:
        name: Name, with which those of its weights begin.
        kind: Class in nussl.
        args: Arguments of the class.
    """

    name: str
    kind: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NusslModules:
    """Modules of a graph, by their purpose; None for a missing one."""

    stack: NusslModule
    decibels: NusslModule | None = None
    norm: NusslModule | None = None
    mel: NusslModule | None = None
    embedding: NusslModule | None = None
    mask: NusslModule | None = None

    @classmethod
    def of(cls, graph: Mapping[str, Any]) -> NusslModules:
        """Find the modules of a configuration.

        Raises:
            ModelError: The graph has other modules or other connections.
        """
        try:
            return cls._of(graph)
        except _UnknownGraphError as error:
            name = graph.get("name", "network")
            raise ModelError(
                f"nussl's {name} cannot be imported: {error}; only recurrent networks on spectrograms can, "
                "with heads of embeddings, of masks, or of both"
            ) from None

    @classmethod
    def _of(cls, graph: Mapping[str, Any]) -> NusslModules:
        reads = {
            name: [item for item in items if isinstance(item, str)] for name, items in graph["connections"]
        }
        parts = {
            name: NusslModule(name, module["class"], module.get("args") or {})
            for name, module in graph["modules"].items()
            if "class" in module and name in reads
        }
        stacks = [part for part in parts.values() if part.kind == "RecurrentStack"]
        if len(stacks) != 1:
            raise _UnknownGraphError(f"it has {len(stacks)} recurrent stacks")
        front = _front(stacks[0], parts, reads)
        heads = _heads(stacks[0], parts, reads)
        masks = [part for part in parts.values() if part.kind == "Mask"]
        known = {part.name for part in (*stacks, *front.values(), *heads.values(), *masks)}
        if strange := [part.kind for part in parts.values() if part.name not in known]:
            raise _UnknownGraphError(
                f"it has a module {strange[0]} apart from the recurrent stack and its neighbours"
            )
        return cls(stacks[0], **front, **heads)


class NusslSizes(NamedTuple):
    """Numbers of bins, channels and sources, and the size of the embeddings (0 without them)."""

    bins: int
    channels: int
    sources: int
    embedding: int

    @classmethod
    def of(cls, parts: NusslModules, sources: int) -> NusslSizes:
        """Read the sizes from the heads.

        Args:
            parts: Modules of the network.
            sources: Number of sources of a network without masks.

        Raises:
            ModelError: The heads differ in bins or channels.
        """
        heads = [head.args for head in (parts.embedding, parts.mask) if head is not None]
        shapes = {(int(args["num_features"]), int(args.get("num_audio_channels", 1))) for args in heads}
        if len(shapes) > 1:
            raise ModelError("the heads of nussl's model are not of the same bins and channels")
        ((bins, channels),) = shapes
        count = parts.mask.args["embedding_size"] if parts.mask else sources
        return cls(bins, channels, count, parts.embedding.args["embedding_size"] if parts.embedding else 0)


class _UnknownGraphError(Exception):
    """Reason for which a graph cannot be imported."""


Reads = Mapping[str, list[str]]


def _front(stack: NusslModule, parts: Mapping[str, NusslModule], reads: Reads) -> dict[str, NusslModule]:
    """Find the modules between the input and the stack, by their places."""
    chain: list[NusslModule] = []
    name = stack.name
    while len(reads[name]) == 1 and (before := parts.get(reads[name][0])) is not None:
        if before in chain:
            raise _UnknownGraphError("it is connected in a circle")
        chain.insert(0, before)
        name = before.name
    if strange := [part.kind for part in chain if part.kind not in _PLACES]:
        raise _UnknownGraphError(f"it has a module {strange[-1]} before the recurrent stack")
    if any(part.args.get("clamp") or part.args.get("direction") == "backward" for part in chain):
        raise _UnknownGraphError("its projection onto mel bands goes back from them, or is limited")
    places = [_PLACES[part.kind] for part in chain]
    if places != sorted(set(places), key=_FRONT.index):
        raise _UnknownGraphError(
            f"the modules before the recurrent stack are {', '.join(part.kind for part in chain)}"
        )
    return dict(zip(places, chain, strict=True))


def _heads(stack: NusslModule, parts: Mapping[str, NusslModule], reads: Reads) -> dict[str, NusslModule]:
    """Find the modules after the stack: the head of masks, and the head of embeddings."""
    masks = {name for part in parts.values() if part.kind == "Mask" for name in reads[part.name]}
    heads = [part for part in parts.values() if reads[part.name] == [stack.name]]
    found = {"mask" if part.name in masks else "embedding": part for part in heads}
    if len(found) != len(heads) or not heads:
        raise _UnknownGraphError(f"{len(heads)} modules read the recurrent stack")
    if strange := [part.kind for part in heads if part.kind != "Embedding"]:
        raise _UnknownGraphError(f"a module {strange[0]} reads the recurrent stack")
    return found
