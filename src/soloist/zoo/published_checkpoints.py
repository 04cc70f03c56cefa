"""Published checkpoint files: read without running their code, recognised, and made model folders.

Some authors published whole pickled modules, whose pickle names the classes of their code. These classes are
not imported: PyTorch's restricted reader (`weights_only=True`) gets an inert record in place of every class
that it does not know, and the weights are taken out of the records.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from soloist.errors import ModelError, one_line
from soloist.files import sha256_of
from soloist.separators import build_separator
from soloist.zoo import onnx_graph
from soloist.zoo.array_pickles import holds_arrays, read_arrays
from soloist.zoo.cards import Card, models, models_folder
from soloist.zoo.importers import ImportedModel, recognize
from soloist.zoo.importers.demucs import is_package
from soloist.zoo.importers.demucs_bags import BAG_SUFFIXES, Bag, combine
from soloist.zoo.importers.msst_options import options_beside
from soloist.zoo.importers.speechbrain import PARTS, read_settings, settings_beside
from soloist.zoo.model_folder import check_state, save_model
from soloist.zoo.published_files import PublishedFile, check_name
from soloist.zoo.tensorflow_bundle import bundle_files, read_bundle

_NESTED = ("state_dict", "model_state_dict", "model", "best_state", "state")
"""Keys of the weights in a training checkpoint, in the order in which their programs would take them."""


def import_checkpoint(
    path: Path | Sequence[Path],
    folder: Path | None = None,
    name: str | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Turn a published checkpoint into a model folder.

    Args:
        path: File as published; a bag of Demucs's, a YAML file with its models beside it; a bundle of
            TensorFlow's, one of its files, or their folder; a folder of SpeechBrain's with its settings; or a
            list of files, those of Demucs's models, or one a source, whose names begin with those of the
            sources: `vocals-b62c91ce.pth`.
        folder: Folder to write; if None, the model's folder in the models folder.
        name: Name of the model; if None, that of the card with these files, else of the file, or of the
            folder of several files.
        overwrite: Replace an existing model folder.

    Returns:
        The model folder.

    Raises:
        ModelError: A file is not a checkpoint, no importer recognises it, or the folder cannot be written.
        UsageError: The name cannot name a model.
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(each) for each in path]
    if name is not None:
        check_name(name)
    bag = Bag.read(paths[0]) if len(paths) == 1 and paths[0].suffix in BAG_SUFFIXES else None
    own_name = _own_name(paths)
    settings = settings_beside(paths[0]) if len(paths) == 1 else None
    if settings is not None:
        paths = [settings.with_name(f"{part}.ckpt") for part in PARTS]
    paths, contents = _read_all(paths if bag is None else bag.files(paths[0].resolve().parent))
    files, known = _identify(paths, name)
    options = {**(read_settings(settings) if settings else {}), **(known.options if known else {})}
    if bag is not None or (len(paths) > 1 and all(map(is_package, map(_plain, contents.values())))):
        facts = options if bag is None else {"weights": bag.weights, "segment": bag.segment}
        model = _combine([contents[each] for each in files], list(files), facts)
    else:
        model = _recognize(files, contents, options)
    name = name or (known.name if known else own_name)
    _check(model, known, name, ", ".join(map(str, paths)))
    card = {**model.card, **(known.to_dict() if known else {}), "name": name}
    # Files and sources are those that were found.
    card |= {"files": [asdict(file) for file in files.values()], "sources": list(model.separator.sources)}
    target = Path(folder) if folder is not None else models_folder() / name
    return save_model(model.separator, model.config, card, target, overwrite=overwrite)


def _read_all(paths: Sequence[Path]) -> tuple[list[Path], dict[Path, Any]]:
    """Files of a checkpoint, and the contents of those with weights; a bundle's are those of its index."""
    bundle = next((found for each in paths if (found := bundle_files(each))), [])
    if not bundle:
        return list(paths), {each: _read(each) for each in paths}
    others = [each for each in paths if each.is_file() and each not in bundle]
    return [*bundle, *others], {bundle[0]: read_bundle(bundle)}


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint file, on the CPU, without running code of the file.

    Args:
        path: File that `torch.save` wrote: a state dict, a training checkpoint that holds one, or a module.

    Raises:
        ModelError: The file is missing, damaged, no checkpoint, or holds no weights.
    """
    return _state_in(_read(path), path)


def _read(path: Path) -> Any:
    """Read the content of a checkpoint file."""
    if path.suffix == ".safetensors" and path.is_file():
        return _load_safetensors(path)
    if path.suffix.lower() == onnx_graph.SUFFIX and path.is_file():
        return onnx_graph.read_onnx(path)
    _check_container(path)
    if holds_arrays(path):
        return read_arrays(path)
    try:
        return _load_inert(path)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds code, not only weights, and is refused: save the state_dict() of its module"
        ) from error
    # A damaged file makes the reader raise errors of many kinds.
    except Exception as error:
        raise ModelError(f"{path} is damaged, or not a PyTorch checkpoint") from error


def _state_in(content: Any, path: Path) -> dict[str, Tensor]:
    state = dict(_tensors(content))
    if not state:
        raise ModelError(f"{path} holds no weights: neither a state dict nor a module")
    return state


class _Record:
    """Inert stand-in for an object of a class that is not imported, with its attributes."""

    path: str
    arguments: tuple[Any, ...]

    def __new__(cls, *arguments: Any) -> _Record:
        record = super().__new__(cls)
        record.arguments = arguments
        return record

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def _check_container(path: Path) -> None:
    """Refuse files that are neither a zip archive nor pickles, the two kinds that `torch.save` writes."""
    if not path.is_file():
        raise ModelError(f"there is no checkpoint file {path}")
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {one_line(error)}") from error
    if start != b"PK" and start[:1] != b"\x80":
        raise ModelError(f"{path} is not a PyTorch checkpoint")
    if start == b"PK" and not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is truncated or damaged")


def _load_inert(path: Path) -> Any:
    with safe_globals([(type("_Record", (_Record,), {"path": name}), name) for name in _unknown_names(path)]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _unknown_names(path: Path) -> frozenset[str]:
    """Names of the classes and functions that a checkpoint file asks for besides PyTorch's."""
    return frozenset(get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else [])


def _load_safetensors(path: Path) -> dict[str, Any]:
    """Metadata of a safetensors file, or of the JSON file of its name beside it, with its tensors as `state`.

    Raises:
        ModelError: A file is damaged.
    """
    sidecar = path.with_suffix(".json")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not metadata and sidecar.is_file():
            metadata = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path} is damaged, or no safetensors file: {one_line(error)}") from error
    return {**metadata, "state": state}


def _tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of the content of a checkpoint file."""
    if isinstance(content, _Record):
        yield from _module_tensors(content, "")
    elif isinstance(content, Mapping):
        tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        nested = next((content[key] for key in _NESTED if key in content), None)
        if not tensors:
            yield from _tensors(nested)
        # nn.DataParallel puts this before every name.
        elif all(str(key).startswith("module.") for key in tensors):
            yield from ((key.removeprefix("module."), value) for key, value in tensors.items())
        else:
            yield from ((str(key), value) for key, value in tensors.items())


def _module_tensors(module: _Record, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """State dict of a module that was read as records."""
    attributes = vars(module)
    transient = attributes.get("_non_persistent_buffers_set", ())
    for kind in ("_parameters", "_buffers"):
        for name, value in _entries(attributes, kind):
            if isinstance(value, Tensor) and not (isinstance(transient, set) and name in transient):
                yield prefix + name, value.detach()
    for name, child in _entries(attributes, "_modules"):
        if isinstance(child, _Record):
            yield from _module_tensors(child, f"{prefix}{name}.")


def _plain(content: Any, depth: int = 10) -> Any:
    """Plain values of a file, without weights; a record becomes the list of its arguments.

    The class of a record becomes its name. Values below `depth` levels become None: a file can hold a list
    that holds itself.
    """
    if depth == 0:
        return None
    if isinstance(content, Mapping):
        return {
            str(key): _plain(value, depth - 1)
            for key, value in content.items()
            if key not in _NESTED and not isinstance(value, Tensor)
        }
    if isinstance(content, type) and issubclass(content, _Record):
        return content.path
    items = content.arguments if isinstance(content, _Record) else content
    if isinstance(items, (list, tuple)):
        return [_plain(value, depth - 1) for value in items]
    return items if isinstance(items, (str, int, float)) else None


def _entries(attributes: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    entries = attributes.get(kind)
    return [(str(key), value) for key, value in entries.items()] if isinstance(entries, Mapping) else []


def _identify(paths: Sequence[Path], name: str | None) -> tuple[dict[Path, PublishedFile], Card | None]:
    """Entry of each file, in the order of the card that the files belong to, and that card.

    Raises:
        ModelError: The files are not those of the named card, or two are of one source.
    """
    digests = [sha256_of(path) for path in paths]
    known = _known_card(digests, name)
    order = list(range(len(paths)))
    if known is not None:
        published = list(known.files)
        order = [
            next((index for index in order if file.is_hash(digests[index])), place)
            for place, file in enumerate(published)
        ]
    else:
        several = len(paths) > 1 and not bundle_files(paths[0])
        published = [
            PublishedFile(_slug(path.name), source=_source(path) if several else "") for path in paths
        ]
        if several and len({file.source for file in published}) < len(paths):
            raise ModelError(f"two of the files are of one source: {', '.join(map(str, paths))}")
    return {
        paths[index]: replace(file, sha256=digests[index], size=paths[index].stat().st_size)
        for index, file in zip(order, published, strict=True)
    }, known


def _known_card(digests: Sequence[str], name: str | None) -> Card | None:
    """Find the card whose files have the hashes, or the named card if it knows no hashes.

    Raises:
        ModelError: The named card has other hashes, or another number of files.
    """
    cards = [card for card in models() if card.files]
    # Models of the same files differ in options: the named one first.
    for card in sorted(cards, key=lambda card: card.name != name):
        matched = {digest for digest in digests if any(file.is_hash(digest) for file in card.files)}
        if len(matched) == len(digests) == len(card.files):
            return card
    named = next((card for card in cards if card.name == name), None)
    if named is None:
        return None
    published = ", ".join(f"{file.filename}, sha256 {file.sha256 or 'unknown'}" for file in named.files)
    if len(named.files) != len(digests):
        raise ModelError(f"{name} is made of {len(named.files)} files ({published}), not of {len(digests)}")
    if any(file.sha256 for file in named.files):
        raise ModelError(
            f"this is not the published file of {name} ({published}; not {', '.join(digests)}): "
            "import it under another name"
        )
    return named


def _recognize(
    files: Mapping[Path, PublishedFile], contents: Mapping[Path, Any], given: Mapping[str, Any]
) -> ImportedModel:
    """Recognise one state dict with what lies beside it, else the state dicts of all sources as one.

    Raises:
        ModelError: No importer recognises the model.
    """
    states = {path: _state_in(contents[path], path) for path in files if path in contents}
    path, first = next(iter(states.items()))
    model = None
    if len(states) == 1:
        options = {**options_beside(path.resolve()), **given}
        metadata, records = _plain(contents[path]), _unknown_names(path)
        model = recognize(first, path.resolve().parent, metadata, options, records)
    if model is None:
        joined = {
            f"{files[path].source or _source(path)}.{key}": value
            for path, state in states.items()
            for key, value in state.items()
        }
        model = recognize(joined, options=given)
    if model is None:
        where = ", ".join(map(str, files))
        raise ModelError(
            f"no importer recognises the model in {where} ({len(first)} tensors: {_sample(first)})"
        )
    return model


def _combine(contents: Sequence[Any], paths: Sequence[Path], facts: Mapping[str, Any]) -> ImportedModel:
    """Recognise the models of a bag, each by itself, and combine them.

    Raises:
        ModelError: No importer recognises one of them, or they do not go together.
    """
    members = []
    for content, path in zip(contents, paths, strict=True):
        member = recognize(
            _state_in(content, path), path.parent, _plain(content), records=_unknown_names(path)
        )
        if member is None:
            raise ModelError(f"no importer recognises the model of the bag in {path}")
        members.append(member)
    return combine(members, facts.get("weights"), facts.get("segment"))


def _source(path: Path) -> str:
    """Source in the name of a file, which precedes a piece of its hash."""
    return re.sub(r"[-_][0-9a-f]{8,}$", "", path.stem)


def _own_name(paths: Sequence[Path]) -> str:
    """Name of a model that no card has: that of its file, or of the folder of its files."""
    return _slug(paths[0].stem if len(paths) == 1 else paths[0].resolve().parent.name)


def _check(model: ImportedModel, known: Card | None, name: str, where: str) -> None:
    """Refuse a model other than the card's, and a configuration that does not build the separator.

    Raises:
        ModelError: The number of parameters is not the card's, or the weights do not fit the configuration.
    """
    found = sum(parameter.numel() for parameter in model.separator.parameters())
    # Without hashes, the number of parameters alone tells the models apart.
    if known is not None and known.parameters and found != known.parameters:
        raise ModelError(
            f"{where} is not {known.name}: it has {found:,} parameters, not {known.parameters:,}"
        )
    again = build_separator(model.config, f"configuration of {name}")
    check_state(again, model.separator.state_dict(), where)


def _slug(text: str) -> str:
    """Turn a text into a name: characters that a name cannot have become dashes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-") or "model"


def _sample(state: Mapping[str, Tensor]) -> str:
    return ", ".join(sorted(state)[:3])
