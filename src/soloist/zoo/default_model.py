"""The model that separates where nobody named one: of songs, and of any other task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from soloist.errors import ConfigError, ModelError
from soloist.zoo.cards import FALLBACK_MODEL, TASKS, Card, find, models
from soloist.zoo.downloads import Notice, download
from soloist.zoo.http_transfer import Hosts, Progress
from soloist.zoo.model_folder import load, remove
from soloist.zoo.published_files import HUGGING_FACE, SourceError, is_offline

CANDIDATES = ("htdemucs", "spleeter-4stems", "spleeter-2stems")
"""Models of which the first that can be had is downloaded, if none is on disk."""

SONGS = "stems"
"""Task of the models of songs."""

FALLBACKS = {"denoise": "small-crn-denoise"}
"""Model of Soloist's own for a task, where no better one is on disk or can be had."""

_OTHERS = "-m NAME takes another, see: soloist models"


@dataclass(frozen=True)
class DefaultModel:
    """The chosen model.

    Attributes:
        name: Name of the model.
        reason: Reason of the choice, for the line of the job.
    """

    name: str
    reason: str


def best_on_disk(task: str = SONGS, talkers: int | None = None) -> Card | None:
    """Find the model on disk that comes first in the order of `default_rank`; None without any.

    Args:
        task: Purpose of the model; "stems" for songs, which models of vocals separate as well.
        talkers: Number of talkers, for their task.
    """
    return next((card for card in _ranked(task, talkers) if card.on_disk), None)


def _ranked(task: str, talkers: int | None) -> list[Card]:
    tasks = (SONGS, "vocals", "") if task == SONGS else (task,)
    cards = [card for card in models() if card.default_rank and card.task in tasks]
    fitting = [card for card in cards if talkers in (None, len(card.sources))]
    return sorted(fitting, key=lambda card: card.default_rank or 0)


def choose_default(
    progress: Progress | None = None, notice: Notice | None = None, *, fetch: bool = True
) -> DefaultModel:
    """Choose the best model for songs on disk; else download one; else take the one that needs no weights.

    Args:
        progress: Callback with the received bytes of a download.
        notice: Callback with lines that the user should read.
        fetch: Download a model if none is on disk.
    """
    if (best := best_on_disk()) is not None:
        return DefaultModel(best.name, f"the best model on disk; {_OTHERS}")
    if fetch and not is_offline():
        candidates = [find(name) for name in CANDIDATES]
        if (fetched := _first_available(candidates, progress, notice)) is not None:
            return fetched
    return DefaultModel(FALLBACK_MODEL, _without_better(fetch=fetch))


def _without_better(better: str = "", *, fetch: bool) -> str:
    """Reason for a model that is always there; `better` is the name of one to download."""
    others = f"better: soloist models download {better}" if better else _OTHERS
    if fetch and not is_offline():
        return f"as no better model can be had; {others}"
    hint = "offline" if is_offline() else "and none is downloaded now"
    return f"as no better model is on disk, {hint}; {others}"


def choose_for_task(
    task: str,
    talkers: int | None = None,
    progress: Progress | None = None,
    notice: Notice | None = None,
    *,
    fetch: bool = True,
) -> DefaultModel:
    """Choose the best model on disk for a task; else download one; else take Soloist's own.

    Args:
        task: One of `TASKS`.
        talkers: Number of talkers, for their task; None for any.
        progress: See `choose_default`.
        notice: See `choose_default`.
        fetch: Download a model if none is on disk.

    Raises:
        ModelError: No model is there, or none can be had.
    """
    if task == SONGS:
        return choose_default(progress, notice, fetch=fetch)
    if (best := best_on_disk(task, talkers)) is not None:
        return DefaultModel(best.name, f"the best model on disk; {_OTHERS}")
    wanted = TASKS[task] if talkers is None else f"{talkers} {TASKS[task]}"
    ranked = _ranked(task, talkers)
    if not ranked:
        raise ModelError(f"no model separates {wanted}, see: soloist models")
    if fetch and not is_offline() and (fetched := _first_available(ranked, progress, notice)):
        return fetched
    if task in FALLBACKS:
        return DefaultModel(FALLBACKS[task], _without_better(ranked[0].name, fetch=fetch))
    raise ModelError(
        f"no model on disk separates {wanted}; download one: soloist models download {ranked[0].name}"
    )


def _first_available(
    cards: Sequence[Card], progress: Progress | None, notice: Notice | None
) -> DefaultModel | None:
    """Download the first candidate that can be had, and see that it loads."""
    notice, hosts = notice or (lambda line: None), Hosts()
    urls = [source.url for card in cards for file in card.files for source in file.places]
    # All at once: hosts that are silent cost their time together, not one after the other.
    hosts.ask(url for url in urls if url and not url.startswith(HUGGING_FACE))
    for card in cards:
        try:
            _fetch(card, hosts, progress, notice)
        except SourceError as error:
            notice(f"{card.name} cannot be had: {error.reason}")
        except (ModelError, ConfigError) as error:
            notice(f"{card.name} was downloaded, but cannot be used: {error}")
        else:
            return DefaultModel(card.name, f"just downloaded; {_OTHERS}")
    return None


def _fetch(card: Card, hosts: Hosts, progress: Progress | None, notice: Notice) -> None:
    """Download a model, say so when it comes, and load it; a model that does not load is removed again."""
    announced, lines = list[str](), list[str]()

    def announce(received: int, total: int | None) -> None:
        # With the first bytes: before, nobody knows whether they will come.
        if not announced:
            announced.append(f"downloading {card.about}; {_OTHERS}")
            notice(announced[0])
        if progress is not None:
            progress(received, total)

    download(card.name, announce, lines.append, hosts=hosts)
    notice(lines[-1])
    try:
        load(card.name)
    except (ModelError, ConfigError):
        remove(card.name)
        raise
