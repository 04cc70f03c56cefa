"""Page of all models, made from their cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from soloist.zoo import Card, Quality, models
from soloist.zoo.cards import TASKS, is_shipped, megabytes

INTRODUCTION = """# All models

The {count} models that Soloist knows, by task, from their cards: `soloist models` lists the same in a
terminal, with speeds on your machine; `soloist models show NAME` shows a card. What the columns mean is in
[models and downloads](models.md#what-the-list-says); *cost* is 10^9 floating-point operations for a second of
audio. A licence that nobody states is not a free one.
"""


def model_page() -> str:
    """Markdown page of all shipped cards: a table for each task, and what each card says."""
    cards = [card for card in models() if is_shipped(card.name)]
    parts = [INTRODUCTION.format(count=len(cards))]
    for task, title in {**TASKS, "": "other models"}.items():
        group = [card for card in cards if card.task == task]
        if group:
            parts += [f"## {title[0].upper()}{title[1:]}", _table(group), *map(_card, group)]
    return "\n\n".join(parts) + "\n"


def _table(cards: Sequence[Card]) -> str:
    rows = [
        ["model", "system", "stems", "download", "cost", "licence of the weights", "quality"],
        ["---", "---", "---", "---:", "---:", "---", "---"],
    ]
    for card in cards:
        figure = _figure(card.quality[0]) if card.quality else "-"
        cost = f"{card.operations:.3g}" if card.operations else "-"
        stems = ", ".join(card.sources) or "as its YAML says"
        name = f"[`{card.name}`](#{card.name.lower().replace('.', '')})"
        rows.append([name, card.system, stems, _size(card), cost, card.licence.stated, figure])
    return "\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows)


def _card(card: Card) -> str:
    """What a card says, folded up."""
    lines = "\n".join(f"    - **{key}**: {' '.join(text.split())}" for key, text in _facts(card) if text)
    # A heading of its own, so that the search and the table lead here.
    return f'### {card.name}\n\n??? note "{card.title.replace(chr(34), chr(39))}"\n\n{lines}'


def _facts(card: Card) -> Iterator[tuple[str, str]]:
    yield "system", card.system
    yield "stems", ", ".join(card.sources)
    yield "rate, channels", f"{card.sample_rate or 'any'} Hz, {card.channels or 'any'}"
    yield "parameters", f"{card.parameters:,}" if card.parameters else ""
    yield "other names", ", ".join(f"`{name}`" for name in card.aliases)
    yield (
        "licence",
        f"weights: {card.licence.weights or 'not stated'}; code: {card.licence.code or 'not stated'}",
    )
    yield "trained on", card.training_data
    for quality in card.quality:
        yield "figure", _figure(quality)
    yield "notes", card.notes
    yield "cite", card.citation
    yield "origin", f"<{card.origin}>" if card.origin.startswith("https://") else card.origin


def _figure(quality: Quality) -> str:
    """A figure with its data, and who measured it."""
    known = {True: ", trained on it", None: ", perhaps trained on it"}.get(quality.trained_on_test, "")
    by = f", by {quality.measured_by}" if quality.measured_by else ""
    return f"{quality.target}: {quality.value:g}, {quality.metric}; {quality.dataset}{known}{by}"


def _size(card: Card) -> str:
    if card.size:
        return megabytes(card.size)
    return "-" if card.config is None else "a rule"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
