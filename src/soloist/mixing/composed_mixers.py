"""Mixers that draw from other mixers: a pool of examples, a cache, a choice of several mixers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from soloist.errors import SoloistError, UsageError
from soloist.files import Staging
from soloist.mixing.example import Example, Mixer, arguments_of, generator, take_in_turn

_NAME = "name"


class PoolMixer(Mixer):
    """Pool of the first examples of a mixer: each is drawn once, in random order, before any again.

    Args:
        mixer: Mixer of the examples.
        examples: Size of the pool.

    Raises:
        UsageError: The pool is empty.
    """

    def __init__(self, mixer: Mixer, examples: int) -> None:
        if examples < 1:
            raise UsageError(f"a pool must have at least 1 example, not {examples}")
        super().__init__(**arguments_of(mixer))
        self.mixer = mixer
        self.examples = examples

    def __len__(self) -> int:
        return self.examples

    def draw(self, index: int) -> Example:
        """Draw example number `index`; see `Mixer.draw`."""
        return self.mixer.draw(take_in_turn(self, self.seed, index, self.examples))


class KeptMixer(Mixer):
    """Cache of the examples of a mixer.

    Each process caches its own examples in memory. All processes and later trainings share a folder: files
    are written whole or not at all, and damaged ones are replaced.

    Args:
        mixer: Mixer of the examples.
        folder: Folder of the cache, one file per example, which no other mixer may use. If None, examples are
            cached in memory.
    """

    def __init__(self, mixer: Mixer, folder: Path | None = None) -> None:
        super().__init__(**arguments_of(mixer))
        self.mixer = mixer
        self.folder = folder
        self._memory: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self.mixer)

    def draw(self, index: int) -> Example:
        """Draw example number `index`, or read it from the cache; see `Mixer.draw`.

        Raises:
            SoloistError: The example cannot be written to the folder.
        """
        if (kept := self._recall(index)) is not None:
            return kept
        example = self.mixer.draw(index)
        if self.folder is None:
            self._memory[index] = example
        else:
            _write(self._file(self.folder, index), example)
        return example

    def _recall(self, index: int) -> Example | None:
        if self.folder is None:
            return self._memory.get(index)
        return _read(self._file(self.folder, index))

    def _file(self, folder: Path, index: int) -> Path:
        return folder / f"{index}.safetensors"


class PriorMixer(Mixer):
    """Random choice of one of several mixers for each example, to train on several corpora at once.

    E. Tzinis, Z. Wang and P. Smaragdis, "SuDoRM-RF", MLSP 2020, and the augmented loader published with it.

    Args:
        mixers: Mixers with equal sources, sample rates, channels and durations.
        priors: Relative probability of each mixer: `[2, 1]` draws two of three examples from the first.
        seed: Seed of the choice; the mixers have their own seeds.

    Raises:
        UsageError: The mixers differ, or a prior is missing or not positive.
    """

    def __init__(self, mixers: Sequence[Mixer], priors: Sequence[float], *, seed: int = 0) -> None:
        if not mixers or len(priors) != len(mixers):
            raise UsageError(f"{len(mixers)} mixers need as many priors, not {len(priors)}")
        if not all(0 < prior < math.inf for prior in priors):
            raise UsageError(f"priors must be positive, not {', '.join(map(str, priors))}")
        first = mixers[0]
        for aspect in ("sources", "sample_rate", "channels", "duration"):
            if len(found := {getattr(mixer, aspect): None for mixer in mixers}) > 1:
                different = " and ".join(map(str, found))
                raise UsageError(f"mixers that are used together differ in {aspect}: {different}")
        super().__init__(**{**arguments_of(first), "seed": seed})
        self.mixers = tuple(mixers)
        self.priors = np.array(priors) / sum(priors)

    def __len__(self) -> int:
        expected = (len(mixer) / prior for mixer, prior in zip(self.mixers, self.priors, strict=True))
        return math.ceil(max(expected))

    def draw(self, index: int) -> Example:
        """Draw example number `index` of the chosen mixer; see `Mixer.draw`."""
        mixer = generator(self, self.seed, index).choice(len(self.mixers), p=self.priors)
        return self.mixers[mixer].draw(index)


def _read(path: Path) -> Example | None:
    """Read an example; None if there is no file or it is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            return Example(file.get_tensor("mixture"), file.get_tensor("references"), file.metadata()[_NAME])
    except (FileNotFoundError, SafetensorError):
        return None


def _write(path: Path, example: Example) -> None:
    content = save({"mixture": example.mixture, "references": example.references}, {_NAME: example.name})
    staging = Staging()
    try:
        staging.target(path).write_bytes(content)
        staging.promote()
    except OSError as error:
        raise SoloistError(
            f"cannot keep examples in {path.parent}: {error.strerror or error}; make room, or leave out "
            "data.cache"
        ) from error
    finally:
        staging.discard()
