"""Published checkpoint files: identified, recognised, and made model folders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from soloist.errors import ModelError
from soloist.files import sha256_of
from soloist.separators import build_separator
from soloist.zoo.cards import Card, models, models_folder
from soloist.zoo.checkpoint_content import foreign_names, plain_values, read_content, state_in
from soloist.zoo.importers import ImportedModel, recognize
from soloist.zoo.importers.demucs import is_package
from soloist.zoo.importers.demucs_bags import BAG_SUFFIXES, Bag, combine
from soloist.zoo.importers.msst_options import find_settings, foreign_system, read_options
from soloist.zoo.importers.speechbrain import PARTS, hyperparameters_beside, read_hyperparameters
from soloist.zoo.model_folder import check_state, save_model
from soloist.zoo.published_files import SETTINGS, PublishedFile, check_name
from soloist.zoo.tensorflow_bundle import bundle_files, read_bundle


def import_checkpoint(
    path: Path | Sequence[Path],
    folder: Path | None = None,
    name: str | None = None,
    *,
    overwrite: bool = False,
    settings: Path | None = None,
    addresses: Mapping[Path, str] | None = None,
) -> Path:
    """Turn a published checkpoint into a model folder.

    Args:
        path: File as published; a bag of Demucs's, a YAML file with its models beside it; a bundle of
            TensorFlow's, one of its files, or their folder; a folder of SpeechBrain's; or a list of files,
            those of Demucs's models, or one a source, whose names begin with those of the sources:
            `vocals-b62c91ce.pth`. One of several files may be the YAML or JSON file of the settings.
        folder: Folder to write; if None, the model's folder in the models folder.
        name: Name of the model; if None, that of the card with these files, else of the file, or of the
            folder of several files.
        overwrite: Replace an existing model folder.
        settings: YAML or JSON file of the network's settings; if None, the one among the files or beside the
            checkpoint, if any.
        addresses: Address that each file was downloaded from, for the card.

    Returns:
        The model folder.

    Raises:
        ModelError: A file is not a checkpoint, no importer recognises it, or the folder cannot be written.
        UsageError: The name cannot name a model.
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(each) for each in path]
    if name is not None:
        check_name(name)
    paths, settings = _split_settings(paths, settings)
    bag = Bag.read(paths[0]) if len(paths) == 1 and paths[0].suffix in BAG_SUFFIXES else None
    own_name = _own_name(paths)
    beside = hyperparameters_beside(paths[0]) if len(paths) == 1 else None
    if beside is not None:
        paths = [beside.with_name(f"{part}.ckpt") for part in PARTS]
    paths, contents = _read_all(paths if bag is None else bag.files(paths[0].resolve().parent))
    files, known = _identify(paths, name)
    options = {**(read_hyperparameters(beside) if beside else {}), **(known.options if known else {})}
    if bag is not None or (len(paths) > 1 and all(map(is_package, map(plain_values, contents.values())))):
        facts = options if bag is None else {"weights": bag.weights, "segment": bag.segment}
        model = _combine([contents[each] for each in files], list(files), facts)
    else:
        if settings is None and len(contents) == 1:
            settings = find_settings(next(iter(contents)).resolve())
        model = _recognize(files, contents, read_options(settings) if settings else {}, options)
    name = name or (known.name if known else own_name)
    _check(model, known, name, ", ".join(map(str, paths)))
    if settings is not None:
        files |= {settings: _published_settings(settings, known)}
    found = [replace(file, url=(addresses or {}).get(path, file.url)) for path, file in files.items()]
    card = {**model.card, **(known.to_dict() if known else {}), "name": name}
    # Files and sources are those that were found.
    card |= {"files": [asdict(file) for file in found], "sources": list(model.separator.sources)}
    target = Path(folder) if folder is not None else models_folder() / name
    return save_model(model.separator, model.config, card, target, overwrite=overwrite)


def is_checkpoint_folder(folder: Path) -> bool:
    """Tell whether a folder is a published checkpoint: a bundle of TensorFlow's, or one of SpeechBrain's."""
    return bool(bundle_files(folder)) or hyperparameters_beside(folder) is not None


def _split_settings(paths: Sequence[Path], settings: Path | None) -> tuple[list[Path], Path | None]:
    """Weights and settings among the files of a model.

    Raises:
        ModelError: There are settings in several files.
    """
    given = [path for path in paths if path.suffix in SETTINGS] if len(paths) > 1 else []
    every = [*given, *([settings] if settings is not None else [])]
    if len(every) > 1:
        raise ModelError(f"the settings of a model are one file, not {', '.join(map(str, every))}")
    return [path for path in paths if path not in given], every[0] if every else None


def _published_settings(path: Path, known: Card | None) -> PublishedFile:
    """Entry of the settings in a card: that of the known card, or a new one."""
    listed = [file for file in known.files if file.is_settings] if known else []
    file = listed[0] if listed else PublishedFile(slug(path.name))
    return replace(file, sha256=sha256_of(path), size=path.stat().st_size)


def _read_all(paths: Sequence[Path]) -> tuple[list[Path], dict[Path, Any]]:
    """Files of a checkpoint, and the contents of those with weights; a bundle's are those of its index."""
    bundle = next((found for each in paths if (found := bundle_files(each))), [])
    if not bundle:
        return list(paths), {each: read_content(each) for each in paths}
    others = [each for each in paths if each.is_file() and each not in bundle]
    return [*bundle, *others], {bundle[0]: read_bundle(bundle)}


def _identify(paths: Sequence[Path], name: str | None) -> tuple[dict[Path, PublishedFile], Card | None]:
    """Entry of each file, in the order of the card that the files belong to, and that card.

    Raises:
        ModelError: The files are not those of the named card, or two are of one source.
    """
    digests = [sha256_of(path) for path in paths]
    known = _known_card(digests, name)
    order = list(range(len(paths)))
    if known is not None:
        published = list(known.weights)
        order = [
            next((index for index in order if file.is_hash(digests[index])), place)
            for place, file in enumerate(published)
        ]
    else:
        several = len(paths) > 1 and not bundle_files(paths[0])
        published = [
            PublishedFile(slug(path.name), source=_source(path) if several else "") for path in paths
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
        matched = {digest for digest in digests if any(file.is_hash(digest) for file in card.weights)}
        if len(matched) == len(digests) == len(card.weights):
            return card
    named = next((card for card in cards if card.name == name), None)
    if named is None:
        return None
    published = ", ".join(f"{file.filename}, sha256 {file.sha256 or 'unknown'}" for file in named.weights)
    if len(named.weights) != len(digests):
        raise ModelError(f"{name} is made of {len(named.weights)} files ({published}), not of {len(digests)}")
    if any(file.sha256 for file in named.weights):
        raise ModelError(
            f"this is not the published file of {name} ({published}; not {', '.join(digests)}): "
            "import it under another name"
        )
    return named


def _recognize(
    files: Mapping[Path, PublishedFile],
    contents: Mapping[Path, Any],
    settings: Mapping[str, Any],
    given: Mapping[str, Any],
) -> ImportedModel:
    """Recognise one state dict with its settings, else the state dicts of all sources as one.

    Args:
        files: Files of the model.
        contents: Contents of those with weights.
        settings: Content of the file of settings; empty if there is none.
        given: Facts from the model's card, which precede the settings.

    Raises:
        ModelError: No importer recognises the model; the message names a system that Soloist does not have.
    """
    states = {path: state_in(contents[path], path) for path in files if path in contents}
    path, first = next(iter(states.items()))
    model = None
    if len(states) == 1:
        options = {**settings, **given}
        metadata, records = plain_values(contents[path]), foreign_names(path)
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
        if foreign := foreign_system(settings):
            raise ModelError(f"{where} is a model of {foreign}, which Soloist does not have")
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
            state_in(content, path), path.parent, plain_values(content), records=foreign_names(path)
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
    return slug(paths[0].stem if len(paths) == 1 else paths[0].resolve().parent.name)


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


def slug(text: str) -> str:
    """Turn a text into a name: characters that a name cannot have become dashes, and nothing `model`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-") or "model"


def _sample(state: Mapping[str, Tensor]) -> str:
    return ", ".join(sorted(state)[:3])
