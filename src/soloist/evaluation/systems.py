"""Systems under evaluation: models, and oracles that know the references."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from einops import rearrange

from soloist.audio import Audio, StemWriter, WriteOptions, probe
from soloist.datasets import MIXTURE, StemFile, StemTrack, components, sum_of
from soloist.errors import AudioError, ModelError, UsageError
from soloist.evaluation.matching import load_references
from soloist.evaluation.scenarios import complement
from soloist.inference import FileJob, FileSettings, StemSelection, StreamSettings, Track, find_device
from soloist.separators import ORACLES, Oracle
from soloist.separators.training_free.mask_separator import frame_length
from soloist.transforms import STFT, Transform, parse_transform
from soloist.zoo import card_of, models
from soloist.zoo.cards import is_known

ORACLE_PREFIX = "oracle:"
_ORACLE_FRAME = 0.046
"""Duration of the frames of oracles, in s: 2048 samples at 44.1 kHz, as in the 2018 campaign."""
_CD_RATE = 44100
"""Hz; to check a transform before the rate of a track is known."""

_NUMBERED = re.compile(r"\D*\d+")
"""Names of sources that no name tells apart: talker1, s2, 1."""

_FLOAT_WAV = WriteOptions(format="wav", bit_depth=32, clip="none")


@dataclass(frozen=True)
class SystemSettings:
    """Settings of separating.

    Attributes:
        device: Device of the computation, or "auto".
        stream: Chunks, overlap, shifts, batches.
        engine: Engine of networks: one of `ENGINES`, or "auto".
        precision: Precision of networks: one of `PRECISIONS`, or "auto".
    """

    device: str = "auto"
    stream: StreamSettings = field(default_factory=StreamSettings)
    engine: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class SystemEstimates:
    """Estimates of a track, on disk.

    Attributes:
        files: Float WAV of each estimate, by name.
        elapsed: Duration of separating, in s.
        device: Device of the computation.
        ordered: True if the names of the estimates mean something.
    """

    files: dict[str, Path]
    elapsed: float
    device: str
    ordered: bool = True


class System(Protocol):
    """Estimator of the stems of a track."""

    def separate(self, track: StemTrack) -> SystemEstimates:
        """Write estimates of a track's stems to disk."""
        ...


class ModelSystem:
    """Model of the zoo, or of a folder, that receives only the mixture.

    A model of one source also estimates the residual (`accompaniment`, `no_X`).

    Args:
        model: Name in the zoo or path of a model folder.
        settings: Device, chunks and engine.
        folder: Folder of the estimates, with a folder for each track.

    Raises:
        ModelError: The model is unknown, damaged or not on disk.
        UsageError: The device is missing.
    """

    def __init__(self, model: str, settings: SystemSettings, folder: Path) -> None:
        sources = card_of(model).sources
        self._single = sources[0] if len(sources) == 1 else None
        self._folder = folder
        self._job = FileJob(
            model,
            FileSettings(
                folder=folder,
                template="{track}/{stem}.{ext}",
                selection=StemSelection(complement_of=self._single),
                stream=settings.stream,
                write=_FLOAT_WAV,
                device=settings.device,
                engine=settings.engine,
                precision=settings.precision,
                overwrite=True,
            ),
        )

    def separate(self, track: StemTrack) -> SystemEstimates:
        """Separate the track's mixture block by block.

        Raises:
            AudioError: The mixture cannot be read.
        """
        name = _folder_name(track)
        mixture = _mixture_file(track, self._folder / name)
        report = self._job.run(Track(mixture, name))
        separator = self._job.separator_for(probe(mixture))
        files = dict(report.stems)
        if self._single is not None:
            files[complement(self._single)] = files.pop(f"no_{self._single}")
        if report.losses:
            raise AudioError(report.losses[0])
        return SystemEstimates(files, report.elapsed, report.device, separator.ordered)


class OracleSystem:
    """Oracle that knows the references: the upper bound of a kind of mask, or a lower bound.

    Args:
        kind: One of `ORACLES`.
        settings: Device.
        folder: Folder of the estimates, with a folder for each track.
        transform: Transform of the masks, in the notation of `parse_transform`; None for the campaign's STFT.
    """

    def __init__(
        self, kind: str, settings: SystemSettings, folder: Path, transform: str | None = None
    ) -> None:
        self._kind, self._device, self._folder = kind, find_device(settings.device), folder
        self._transform = transform

    def separate(self, track: StemTrack) -> SystemEstimates:
        """Estimate all stems of a track, and its accompaniment, from its mixture and its references.

        Raises:
            AudioError: A stem cannot be read, or they differ in rate, channels or length.
        """
        begun = time.perf_counter()
        loaded = load_references(track)
        mixture = np.concatenate(list(track.mixture_blocks()), axis=1)
        if mixture.shape != next(iter(loaded.references.values())).shape:
            raise AudioError(f"the mixture of {track.name} differs from its stems in length or channels")
        oracle = self._oracle(loaded.sample_rate)
        estimates = self._estimate(oracle, mixture, loaded.references)
        if len(estimates) > 2 and "vocals" in estimates:
            pair = {name: sum_of(loaded.references, name) for name in ("vocals", "accompaniment")}
            estimates["accompaniment"] = self._estimate(oracle, mixture, pair)["accompaniment"]
        folder = self._folder / _folder_name(track)
        files = {name: folder / f"{name}.wav" for name in estimates}
        _write(files, loaded.sample_rate, [np.stack(list(estimates.values()))])
        return SystemEstimates(files, time.perf_counter() - begun, self._device)

    def _oracle(self, sample_rate: int) -> Oracle:
        if self._transform is None:
            n_fft = frame_length(sample_rate, _ORACLE_FRAME)
            transform: Transform = STFT(n_fft, n_fft // 4, "hann", pad_mode="constant")
        else:
            transform = parse_transform(self._transform, sample_rate)
        return Oracle(self._kind, transform.to(self._device))

    def _estimate(self, oracle: Oracle, mixture: Audio, references: Mapping[str, Audio]) -> dict[str, Audio]:
        sources = torch.from_numpy(np.stack(list(references.values())))[None].to(self._device)
        estimates = oracle(torch.from_numpy(mixture)[None].to(self._device), sources)[0]
        return dict(zip(references, estimates.cpu().numpy(), strict=True))


@dataclass(frozen=True)
class OracleName:
    """Parsed name of an oracle: `oracle:mpi`, or `oracle:mpi@slicq:bark:262:32.9`.

    Attributes:
        kind: One of `ORACLES`.
        transform: Transform of the masks, in the notation of `parse_transform`; None for the campaign's STFT.
    """

    kind: str
    transform: str | None = None

    @classmethod
    def parse(cls, name: str) -> OracleName:
        """Parse a name.

        Raises:
            UsageError: There is no such oracle, or no such transform.
        """
        kind, _, transform = name.removeprefix(ORACLE_PREFIX).partition("@")
        if kind not in ORACLES:
            raise UsageError(f"there is no oracle {kind!r}; there are {', '.join(ORACLES)}")
        if "@" in name:
            parse_transform(transform, _CD_RATE)
        return cls(kind, transform or None)


def use_transform(names: Sequence[str], transform: str) -> list[str]:
    """Give the oracles among systems a transform, unless their names have one.

    Raises:
        UsageError: There is no oracle among them, or no such transform.
    """
    if not any(name.startswith(ORACLE_PREFIX) for name in names):
        raise UsageError("a transform is for oracles: name one, such as oracle:mpi")
    return [
        f"{name}@{transform}" if name.startswith(ORACLE_PREFIX) and "@" not in name else name
        for name in names
    ]


def make_system(name: str, settings: SystemSettings, folder: Path) -> System:
    """Make a system from a model's name or folder, or an oracle's name; see `OracleName`.

    Raises:
        ModelError: The model is unknown, damaged or not on disk.
        UsageError: There is no such oracle, or the device is missing.
    """
    if name.startswith(ORACLE_PREFIX):
        oracle = OracleName.parse(name)
        return OracleSystem(oracle.kind, settings, folder, oracle.transform)
    return ModelSystem(name, settings, folder)


def check_system(name: str) -> str:
    """Check that a system can be evaluated, without loading the system; return the name in the results.

    Raises:
        ModelError: The model is unknown or not on disk.
        UsageError: There is no such oracle.
    """
    if name.startswith(ORACLE_PREFIX):
        OracleName.parse(name)
        return name
    card = card_of(name)
    if is_known(name) and not card.on_disk:
        raise ModelError(f"{name} is not on disk: soloist models download {name}")
    return card.name


def fitting_models(stems: Sequence[str]) -> list[str]:
    """Names of the models on disk with an estimate of a stem of a corpus, or of a union of its stems.

    Models of sources without names, such as talkers, fit as many stems that are numbered as well.

    Args:
        stems: Names of the stems of a track.
    """
    return [card.name for card in models() if card.on_disk and card.sources and _fits(card.sources, stems)]


def _fits(sources: Sequence[str], stems: Sequence[str]) -> bool:
    if all(map(_NUMBERED.fullmatch, sources)):
        return len(sources) == len(stems) and all(map(_NUMBERED.fullmatch, stems))
    return any(components(source, stems) for source in sources)


def _mixture_file(track: StemTrack, folder: Path) -> Path:
    """File whose first stream is the mixture: the track's own, or a new one with the sum of the stems."""
    if isinstance(track.mixture, StemFile) and track.mixture.stream == 0 and track.mixture.channel is None:
        return track.mixture.path
    path = folder / f"{MIXTURE}.wav"
    blocks = (rearrange(block, "c t -> 1 c t") for block in track.mixture_blocks())
    _write({MIXTURE: path}, track.sample_rate, blocks)
    return path


def _write(files: dict[str, Path], sample_rate: int, blocks: Iterable[Audio]) -> None:
    """Write blocks `(stems, channels, samples)`."""
    first, rest = next(iterator := iter(blocks)), iterator
    with StemWriter(files, sample_rate, first.shape[1], _FLOAT_WAV) as writer:
        writer.write(first)
        for block in rest:
            writer.write(block)
        writer.commit()


def _folder_name(track: StemTrack) -> str:
    """Short name that is unique to a track and valid in every file system."""
    return sha256(track.name.encode()).hexdigest()[:16]
