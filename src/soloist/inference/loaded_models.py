"""Models in memory: loaded once, kept for later recordings, in bounded memory."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from soloist.files import home
from soloist.inference.engine_selection import AUTO, EngineSelection, SelectedEngine
from soloist.inference.stem_selection import StemSelection
from soloist.inference.stream import StreamSettings
from soloist.separators import Chunking, Separator
from soloist.separators.composite_separator import model_hash
from soloist.zoo import card_of, find, load
from soloist.zoo.cards import is_known, own_name
from soloist.zoo.composition_files import find_composition
from soloist.zoo.model_folder import files_of

_MOST_BYTES = 2 * 10**9
"""Most memory of the models that are kept; the last one is kept whatever its size."""

_MOST_MODELS = 16
"""Most models that are kept: rules without weights hold tables, too."""

_COPIES = 2
"""Most copies of the weights in memory: those of the separator, and those that an engine rewrites."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, of the sources that a selection needs.

    Attributes:
        name: Name of the model.
        separator: The separator.
        engines: Its engines.
        content: Hash of the whole model, whichever sources are needed.
    """

    name: str
    separator: Separator
    engines: EngineSelection
    content: str

    @property
    def size(self) -> int:
        """Bytes of the weights and tables."""
        tensors = chain(self.separator.parameters(), self.separator.buffers())
        return _COPIES * sum(tensor.nbytes for tensor in tensors)

    def select_engine(self, stream: StreamSettings, samples: int) -> SelectedEngine:
        """Select the engine and the batch size for a recording.

        Args:
            stream: Chunks, shifts, batches.
            samples: Length of the recording at the separator's rate.

        Returns:
            With a trial only if `soloist tune` measured such chunks and batches.
        """
        chunking = stream.chunking(self.separator)
        selected = self.engines.select(stream.shifts * chunking.count(samples))
        batch_size = stream.batch_size or selected.batch_size
        usual = chunking.longest_input(samples) == Chunking.of(self.separator).input_length
        alike = usual and batch_size == selected.batch_size
        return SelectedEngine(selected.engine, batch_size, selected.trial if alike else None)


@dataclass
class _Entry:
    """Place of a model, which one thread loads while others wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    model: LoadedModel | None = None


class ModelCache:
    """The models that were used last, shared by all threads.

    Args:
        most_bytes: Most memory of the models; the last one is kept whatever its size.
        most_models: Most models.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES, most_models: int = _MOST_MODELS) -> None:
        self._most_bytes, self._most_models = most_bytes, most_models
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, make: Callable[[], LoadedModel]) -> LoadedModel:
        """Return the model of a key, made by the first thread that asks for it.

        Args:
            key: Everything that the model depends on.
            make: Loads the model; what it raises is raised, and nothing is kept.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
        with entry.lock:
            try:
                entry.model = model = entry.model or make()
            except BaseException:
                with self._lock:
                    if self._entries.get(key) is entry:
                        del self._entries[key]
                raise
        with self._lock:
            self._forget_oldest()
        return model

    def clear(self) -> None:
        """Forget all models. Separations that are under way keep theirs until they end."""
        with self._lock:
            self._entries.clear()

    def _forget_oldest(self) -> None:
        sizes = {key: entry.model.size for key, entry in self._entries.items() if entry.model}
        for key in list(sizes)[:-1]:
            if sum(sizes.values()) <= self._most_bytes and len(sizes) <= self._most_models:
                return
            del self._entries[key], sizes[key]


_models = ModelCache()
_downloads = threading.Lock()
_log = logging.getLogger(__name__)


def find_model(model: str | PathLike[str] | None) -> str | Path:
    """Find a model, and download it if it is not on disk.

    Args:
        model: Name in the zoo, or path of a model folder; None for the default, see
            `soloist.zoo.choose_default`.

    Returns:
        Its name or folder.

    Raises:
        ModelError: The model cannot be downloaded.
    """
    if model is not None and not isinstance(model, str):
        return Path(model)
    with _downloads:
        if model is None:
            from soloist.zoo import choose_default

            return choose_default(notice=_log.warning).name
        if (composition := find_composition(model)) is not None:
            missing = [card.name for card in composition.missing]
        else:
            missing = [model] if is_known(model) and not find(model).on_disk else []
        for name in missing:
            from soloist.zoo import download

            download(name, notice=_log.warning)
    return model


def load_model(
    model: str | Path,
    selection: StemSelection,
    *,
    engine: str,
    device: str,
    precision: str = AUTO,
    **overrides: Any,
) -> LoadedModel:
    """Load a model for some stems, or take it from memory if its files have not changed.

    Args:
        model: Name in the zoo or path of a model folder.
        selection: Selected stems.
        engine: One of `ENGINES`, or "auto".
        device: See `find_device`.
        precision: One of `PRECISIONS`, or "auto"; see `EngineSelection`.
        **overrides: See `soloist.load`.

    Raises:
        ModelError: The model is unknown or damaged.
        UsageError: The model has no such stem, or the engine or the device does not exist.
    """
    # The residual is made of the stems, without the model.
    wanted = replace(selection, residual=False)
    files = tuple((path, about.st_mtime_ns, about.st_size) for path, about in files_of(model).items())
    # Calibrations lie in the home folder, too.
    key = (home(), str(model), files, tuple(sorted(overrides.items())), wanted, engine, device, precision)
    return _models.get(key, lambda: _load(model, selection, engine, device, precision, overrides))


def load_for(
    model: str | PathLike[str] | None,
    selection: StemSelection,
    *,
    engine: str,
    device: str,
    sample_rate: int,
    channels: int,
    precision: str = AUTO,
) -> LoadedModel:
    """Find and load a model, at the rate (Hz) and channels of a recording if it takes any."""
    found = find_model(model)
    kind = {"sample_rate": sample_rate, "channels": channels} if card_of(found).sample_rate is None else {}
    return load_model(found, selection, engine=engine, device=device, precision=precision, **kind)


def clear() -> None:
    """Forget the models that are kept in memory, and return the memory of a GPU."""
    _models.clear()
    torch.cuda.empty_cache()


def _load(
    model: str | Path,
    selection: StemSelection,
    engine: str,
    device: str,
    precision: str,
    overrides: dict[str, Any],
) -> LoadedModel:
    separator = load(model, **overrides)
    selection.check(separator.sources)
    content = model_hash(separator)
    separator = separator.only(selection.needed(separator.sources))
    engines = EngineSelection(separator, engine, device, precision)
    name = own_name(model) if isinstance(model, str) else str(model)
    return LoadedModel(name, separator, engines, content)
