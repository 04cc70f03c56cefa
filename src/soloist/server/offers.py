"""Offers of the page: what a visitor may ask for, by task or by model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from soloist.errors import UsageError
from soloist.zoo.cards import TASKS, Card, find, megabytes, models
from soloist.zoo.speeds import load_speeds

_VOCALS, _VOICE, _ALL = "vocals", "Voice and music", "All stems"
_SONGS = ("stems", "vocals")
_OTHER_TASKS = {"talkers": "Talkers", "denoise": "Speech from noise"}


@dataclass(frozen=True)
class Offer:
    """One choice of the page.

    Attributes:
        name: Name of the offer: a task, or a model.
        title: Name for the visitor.
        model: Model; empty for the best on disk, else one that is downloaded.
        two_stems: Stem that is separated from everything else; empty for all stems.
        group: Heading under which the page lists the offer.
        stems: Stems, as far as they are known.
        quality: First figure of the model's card; empty if nobody stated one.
        speed: Seconds of audio for each second, as `soloist tune` measured it here; None if it did not.
        size: Size of the download; empty if nothing is downloaded.
        licence: Licence of the weights.
        preset: Preset of the mixer with which the result opens; empty for none.
    """

    name: str
    title: str
    model: str = ""
    two_stems: str = ""
    group: str = "task"
    stems: tuple[str, ...] = ()
    quality: str = ""
    speed: float | None = None
    size: str = ""
    licence: str = ""
    preset: str = ""


def list_offers(allowed: Sequence[str] = ()) -> list[Offer]:
    """List tasks, then models.

    Args:
        allowed: Names of the only models that may be used; all if empty.

    Raises:
        ModelError: No model has one of the names.
    """
    cards = [find(name) for name in allowed] if allowed else models()
    tasks = _for_songs(cards, bool(allowed))
    for task, title in _OTHER_TASKS.items():
        if (card := _first_for(task, cards)) is not None:
            tasks.append(_of_task(task, title, card))
    return [*tasks, *(_of_model(card) for card in sorted(cards, key=_place))]


def find_offer(offers: Sequence[Offer], name: str) -> Offer:
    """Find an offer by name.

    Raises:
        UsageError: There is none of this name.
    """
    for offer in offers:
        if offer.name == name:
            return offer
    raise UsageError(
        f"there is no task or model {name!r}; there are {', '.join(each.name for each in offers)}"
    )


def _best_for_songs(cards: Sequence[Card], restricted: bool) -> Card | None:
    """The best model for songs on disk; None without any, as the first job downloads one."""
    ranked = [
        card for card in cards if card.task in _SONGS and (restricted or (card.default_rank and card.on_disk))
    ]
    # Where only rules are allowed, the first of them.
    ranked = ranked or list(cards[:1] if restricted else ())
    return min(ranked, key=lambda card: card.default_rank or len(cards), default=None)


def _first_for(task: str, cards: Sequence[Card]) -> Card | None:
    """The best model for a task, on disk if there is one, else to download; None without any."""
    fitting = [card for card in cards if card.task == task and (card.on_disk or card.default_rank)]

    def place(card: Card) -> tuple[bool, bool, int]:
        # Soloist's own are always on disk, but those without a rank are for where nothing else can be had.
        return card.shipped and not card.default_rank, not card.on_disk, card.default_rank or 1000

    return min(fitting, key=place, default=None)


def _place(card: Card) -> tuple[int, bool, str]:
    """Place of a model in the list: tasks in their order, what is on disk first."""
    tasks = list(TASKS)
    return tasks.index(card.task) if card.task in tasks else len(tasks), not card.on_disk, card.name


def _of_task(name: str, title: str, card: Card, two_stems: str = "") -> Offer:
    stems = (two_stems, f"no_{two_stems}") if two_stems else card.sources
    return Offer(name, title, card.name, two_stems, "task", stems, *_facts(card))


def _for_songs(cards: Sequence[Card], restricted: bool) -> list[Offer]:
    card = _best_for_songs(cards, restricted)
    if card is None:
        voice, stems = Offer("voice", _VOICE, two_stems=_VOCALS), Offer("stems", _ALL)
        return [] if restricted else [voice, stems, _karaoke(voice)]
    stems = _of_task("stems", _ALL, card)
    if _VOCALS not in card.sources:
        return [stems]
    voice = _of_task("voice", _VOICE, card, _VOCALS)
    return [voice, stems, _karaoke(voice)]


def _karaoke(voice: Offer) -> Offer:
    """The same with the voice lowered, for singers."""
    return replace(voice, name="karaoke", title="Karaoke", preset="karaoke")


def _of_model(card: Card) -> Offer:
    group = TASKS.get(card.task, "other models")
    return Offer(card.name, card.name, card.name, "", group, card.sources, *_facts(card))


def _facts(card: Card) -> tuple[str, float | None, str, str]:
    first = card.quality[0] if card.quality else None
    quality = f"{first.target} {first.value:g} {first.metric}, {first.dataset}" if first else ""
    size = "" if card.on_disk else megabytes(card.size) if card.size else "unknown size"
    return quality, load_speeds().get(card.name), size, card.licence.stated
