"""Recipes for folders of one's own: the survey of a folder, and a network that fits it."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from soloist.config import Config, class_path_of, find_class, read_yaml
from soloist.datasets import FolderSurvey, survey_folder
from soloist.errors import ConfigError, UsageError
from soloist.files import counted, some, write_whole
from soloist.separators import CombinedSeparator
from soloist.training.recipe.recipe import PlainDumper, find_recipe
from soloist.training.recipe.template import recipe_of_family
from soloist.zoo import card_of
from soloist.zoo.composition_files import find_composition
from soloist.zoo.published_files import check_name

_WINDOW = 0.05
"""Length of a window of the STFT, s, before it is rounded to a power of two samples."""

_WIDE_RATE = 22050
"""Rate from which U-Nets begin with the sizes of songs, Hz."""

_NUMBER_OF_SOUNDS = 2

_LISTED = 6
"""Most names of tracks or talkers in a line."""


def write_own_recipe(
    file: Path,
    root: str | Path,
    family: str | None = None,
    *,
    layout: str | None = None,
    model: tuple[str, Config] | None = None,
    duration: float = 3.0,
    overwrite: bool = False,
) -> FolderSurvey:
    """Write a commented recipe that trains on a folder.

    Args:
        file: Path of the recipe, whose name is the training's.
        root: Folder of stems, single sounds or aligned pairs.
        family: Family of the network; None for a TFC-TDF U-Net for stems, SuDoRM-RF for single sounds.
        layout: Name of the layout of the folder; None to find it.
        model: Name and configuration of a model to go on from, in place of a family.
        duration: Length of the training examples, s.
        overwrite: Replace a file that is there.

    Returns:
        The survey of the folder.

    Raises:
        UsageError: The file exists, its name is no name for a training, the folder fits no layout, or there
            is no such family.
        AudioError: No recording can be read.
    """
    name = check_name(file.stem)
    if os.path.lexists(file) and not overwrite:
        raise UsageError(f"there is a file {file} already: --overwrite replaces it")
    survey = survey_folder(root, layout)
    separator = _of_family(survey, family) if model is None else _of_model(survey, *model)
    begun = None if model is None else model[0]
    values = {"name": name, **({"from": begun} if begun else {}), "separator": separator}
    write_whole(file, "\n".join([*_head(survey, file), *_body(survey, values, begun, duration)]) + "\n")
    return survey


def describe_survey(survey: FolderSurvey) -> list[str]:
    """Lines about a folder for people: what is there, what is missing, and what is held out."""
    if survey.sources:
        what = f"{counted(survey.tracks, 'track')} with stems"
    else:
        what = f"{counted(survey.tracks, 'sound')} of {survey.labels} talkers or classes"
    channels = {1: "mono", 2: "stereo"}[survey.channels]
    lines = [f"{what}, {survey.hours:.2f} hours, {survey.sample_rate} Hz, {channels}"]
    if survey.sources:
        lines.append(f"stems: {', '.join(survey.sources)}")
    if rest := survey.arguments.get("rest"):
        lines.append(f"{rest} is the mixture less the other stem")
    for stem, number in survey.missing.items():
        lines.append(f"{stem} is missing in {counted(number, 'track')}, where it is silent")
    if survey.damaged:
        lines.append(f"damaged: {some(survey.damaged, _LISTED)} (soloist data check tells more)")
    if survey.held_out:
        lines += [f"held out, {kind}: {some(names, _LISTED)}" for kind, names in survey.held_out.items()]
    elif len(survey.splits) > 1:
        lines.append(f"splits of the folder: {', '.join(survey.splits.values())}")
    else:
        lines.append("nothing is held out: too few tracks, or no splits")
    return lines


def adapt(separator: Config, sources: Sequence[str], sample_rate: int, channels: int) -> Config:
    """Change the sources, the rate and the channels of a separator, and the sizes that follow from them.

    Args:
        separator: `class_path` and `init_args`.
        sources: Names of the sources.
        sample_rate: Rate in Hz; another than the separator's changes the window of its STFT.
        channels: Channels of the audio.
    """
    stated = separator.get("init_args", {})
    changed = {**stated, "sources": list(sources), "sample_rate": sample_rate, "channels": channels}
    planes = channels * (2 if stated.get("representation", "complex") == "complex" else 1)
    sizes: dict[str, Any] = {
        "num_sources": len(sources),
        "audio_channels": channels,
        "input_channels": planes,
        "output_channels": planes * len(sources),
        "num_outputs": channels * len(sources),
    }
    if "filterbank" in stated:
        sizes |= _of_filterbank(stated, sample_rate, channels)
    elif sample_rate != stated.get("sample_rate"):
        changed["transform"], bins = _window(stated["transform"], sample_rate)
        sizes |= {"num_bins": bins}
    for part in ("filterbank", "network"):
        if part in changed:
            changed[part] = _resize(changed[part], sizes, channels)
    return {**separator, "init_args": changed}


def _of_family(survey: FolderSurvey, family: str | None) -> Config:
    family = family or ("tfc-tdf" if survey.ordered else "sudormrf")
    wide = family == "tfc-tdf" and survey.sample_rate >= _WIDE_RATE
    source = "tiny-tfc-tdf-songs" if wide else recipe_of_family(family)
    separator: Config = read_yaml(find_recipe(source))["separator"]
    sources = survey.sources or _sounds()
    adapted = adapt(separator, sources, survey.sample_rate, survey.channels)
    # Estimates of stems have an order, those of single sounds none.
    if "ordered" in _parameters(separator["class_path"]):
        adapted["init_args"]["ordered"] = survey.ordered
    return adapted


def _of_model(survey: FolderSurvey, name: str, config: Config) -> Config:
    """Separator of a model, with the folder's stems where it has not all of the model's."""
    config = only_member(name, config)
    own = config.get("init_args", {}).get("sources")
    rate = config.get("init_args", {}).get("sample_rate")
    if own is None or rate is None:
        raise ConfigError(f"{name} has no weights to go on from: choose another model, or a --family")
    if not survey.sources or set(own) <= set(survey.sources) | _unions(survey.sources):
        return config
    return adapt(config, survey.sources, rate, config["init_args"].get("channels", survey.channels))


def only_member(name: str | Path, config: Config) -> Config:
    """Configuration of the one model of a bag; that of any other model as it is.

    Args:
        name: Name or folder of the model.
        config: `class_path` and `init_args`.

    Raises:
        ConfigError: The bag has several models; the message says how to go on from one of them.
    """
    if not issubclass(find_class(config["class_path"], str(name)), CombinedSeparator):
        return config
    members = config["init_args"]["members"]
    if len(members) > 1:
        raise ConfigError(_several_models(name, len(members), config["init_args"]))
    member: Config = members[0]
    return member


def _several_models(name: str | Path, count: int, arguments: Config) -> str:
    if (composition := find_composition(name)) is not None:
        return f"{name} is several models: go on from one of them, {' or '.join(composition.leaves)}"
    card = card_of(name)
    files, rows = card.weights, arguments.get("weights") or [[1.0] * len(card.sources)] * count
    told = f"{name} is a bag of {count} models"
    if len(files) != count:
        return f"{told}: import one of their files (soloist models import FILE), and go on from that"
    names = [Path(file.filename).stem for file in files]
    for place, row in enumerate(rows):
        weighted = [source for source, weight in zip(card.sources, row, strict=True) if weight]
        names[place] += f" for {', '.join(weighted)}" if len(weighted) < len(card.sources) else ""
    address = next((each.url for each in files[0].places if each.url), files[0].filename)
    return f"{told} ({'; '.join(names)}): import one, soloist models import {address}, and go on from that"


def _unions(stems: Sequence[str]) -> set[str]:
    """Targets that are sums of stems."""
    return {"accompaniment"} if "vocals" in stems and len(stems) > 1 else set()


def _sounds() -> list[str]:
    return [f"sound{number + 1}" for number in range(_NUMBER_OF_SOUNDS)]


def _of_filterbank(stated: Config, sample_rate: int, channels: int) -> dict[str, Any]:
    """Filters as long as the family's in seconds, of an odd number of samples."""
    known = stated["filterbank"].get("init_args", {}).get("kernel_size", 21)
    length = known / stated.get("sample_rate", 8000) * sample_rate
    return {"kernel_size": 2 * round((length - 1) / 2) + 1, "channels": channels}


def _window(transform: Config, sample_rate: int) -> tuple[Config, int]:
    stated = transform.get("init_args", {})
    n_fft = 2 ** round(math.log2(_WINDOW * sample_rate))
    sizes = {"n_fft": n_fft}
    if "hop_length" in stated:
        sizes["hop_length"] = n_fft * stated["hop_length"] // stated["n_fft"]
    return {**transform, "init_args": {**stated, **sizes}}, n_fft // 2 + 1


def _resize(part: Config, sizes: Mapping[str, Any], channels: int) -> Config:
    parameters = _parameters(part["class_path"])
    stated = dict(part.get("init_args", {}))
    stated |= {name: value for name, value in sizes.items() if name in parameters and name != "channels"}
    # `channels` are those of the audio in filterbanks and in networks on bins, inner ones in others.
    if (
        "channels" in parameters
        and {"num_sources", "num_bins"} & parameters.keys()
        and ("num_bins" in parameters or "kernel_size" in parameters)
    ):
        stated["channels"] = channels
    return {**part, "init_args": stated}


def _parameters(class_path: str) -> Mapping[str, inspect.Parameter]:
    """Arguments of a class, and those of its bases where it takes any."""
    cls = find_class(class_path, "the separator")
    found = dict(inspect.signature(cls).parameters)
    for base in cls.__mro__[1:]:
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in found.values()):
            break
        found = {name: part for name, part in found.items() if part.kind is not part.VAR_KEYWORD}
        found |= inspect.signature(base).parameters
    return found


def _head(survey: FolderSurvey, file: Path) -> list[str]:
    lines = ["Training on a folder of one's own.", "", f"  soloist train {file}", "", f"{survey.root}:"]
    lines += [f"- {line}" for line in describe_survey(survey)]
    return [f"# {line}".rstrip() for line in lines]


def _body(survey: FolderSurvey, values: Config, begun: str | None, duration: float) -> list[str]:
    data = _data(survey, duration)
    ordered = survey.ordered
    loss: Config = (
        _part("soloist.losses.WaveformLoss", distance="l1")
        if ordered
        else _part("soloist.losses.PermutationInvariant", loss=_part("soloist.losses.SISDR", limit=30.0))
    )
    lines = [
        *_yaml(values),
        "# The examples; validation and test state what differs from training.",
        *_yaml({"data": data}),
        *([] if ordered else ["# The order of the estimates means nothing, so the best one counts."]),
        *_yaml({"loss": loss}),
    ]
    # What a model has learned is kept by small steps.
    rate = 0.0001 if begun else 0.001
    lines += _yaml({"optimizer": _part("torch.optim.Adam", lr=rate)})
    lines += ["# The training stops without improvement over ten validations, at the latest after 40 epochs."]
    schedule = _part("torch.optim.lr_scheduler.CosineAnnealingLR", T_max=40, eta_min=1e-5)
    lines += _yaml({"scheduler": schedule, "trainer": {"max_epochs": 40, "gradient_clip_val": 5.0}})
    lines += _yaml({"patience": 10, "ema": 0.995, "monitor": "valid/sdri" if ordered else "valid/si_sdri"})
    return lines


def _data(survey: FolderSurvey, duration: float) -> Config:
    corpus = _part(class_path_of(survey.layout), **survey.arguments)
    train, valid, test = (survey.splits.get(kind) for kind in ("train", "valid", "test"))
    arguments: Config = {"corpus": corpus, "split": train, "duration": duration}
    varied: Config = {}
    if not survey.sources:
        mixer, arguments["gap"] = "soloist.mixing.ClipMixer", 0.2
    elif not survey.ordered:
        mixer = "soloist.mixing.TrackMixer"
    else:
        mixer = "soloist.mixing.StemMixer"
        pairs = "rest" in survey.arguments or survey.layout.layout == "pairs"
        # Three in four examples take each stem from a track and a time of its own. Parts of one recording,
        # such as a voice and its room, belong together.
        arguments["coherence"] = 1.0 if pairs else 0.25
        arguments["balance"] = "duration"
        gain = _part("soloist.mixing.Gain", decibels=[-6.0, 6.0])
        arguments["augmentations"] = [] if pairs else [gain]
        varied = {"coherence": 1.0, "augmentations": [], "duration": max(6.0, duration)}
    seeded: Config = {} if valid else {"seed": 1}
    data: Config = {
        "root": str(survey.root),
        "train": _part(mixer, **arguments),
        "valid": {"split": valid or train, **varied, **seeded},
    }
    if test:
        whole = {"duration": None} if mixer == "soloist.mixing.StemMixer" else {"seed": 1}
        data["test"] = {"held out": {"split": test, **varied, **whole}}
        if "duration" not in whole:
            data["test_examples"] = 100
    return data | {"batch_size": 4, "examples_per_epoch": 400, "valid_examples": 24}


def _part(class_path: str, **arguments: Any) -> Config:
    return {"class_path": class_path, "init_args": arguments} if arguments else {"class_path": class_path}


def _yaml(values: Config) -> list[str]:
    """Lines of a recipe, each key by itself, so that short sections do not share a line."""
    texts = [
        yaml.dump(
            {key: value},
            Dumper=PlainDumper,
            sort_keys=False,
            allow_unicode=True,
            width=110,
            default_flow_style=None,
        )
        if isinstance(value, dict)
        else f"{key}: {yaml.safe_dump(value, allow_unicode=True).removesuffix('...' + chr(10)).strip()}\n"
        for key, value in values.items()
    ]
    return "".join(texts).rstrip("\n").split("\n")
