"""HTML page with figures, plots, players and tables of systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from soloist.errors import UsageError
from soloist.evaluation.comparison import compare_with_best
from soloist.evaluation.page.players import render_players
from soloist.evaluation.page.svg import box_plot, density_plot
from soloist.evaluation.records import FRAME_METRICS, TRACK_METRICS, TrackRecord
from soloist.evaluation.result_tables import decibels, summary_table
from soloist.evaluation.results import FEW_TRACKS, SystemResults, all_metrics, all_targets, best_first
from soloist.files import counted
from soloist.metrics import summarize
from soloist.players import inline_scripts
from soloist.table_files import NO_VALUE

_HERE = Path(__file__).parent
_NAMES = ("track", "target", "system")
_WORDS = (*_NAMES, "best", "other")


def render_page(systems: Sequence[SystemResults], title: str = "Separation results") -> str:
    """Render one HTML page with style, script, pictures and sound, which needs no other file and no network.

    Args:
        systems: The results, coloured in their order.
        title: Title of the page.
    """
    sections = {
        "Summary": _summary(systems),
        "Boxes": _boxes(systems),
        "Distributions": _distributions(systems),
        "Differences": _differences(systems),
        "Listen": _listen(systems),
        "Tracks": _tracks(systems),
        "Notes": _notes(systems),
    }
    filled = {name: content for name, content in sections.items() if content}
    template = Template((_HERE / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        subtitle=_subtitle(systems),
        style=(_HERE / "report.css").read_text(encoding="utf-8"),
        script="\n".join(
            [inline_scripts(["transport.js"]), (_HERE / "report.js").read_text(encoding="utf-8")]
        ),
        navigation="".join(f'<a href="#{name.lower()}">{name}</a>' for name in filled),
        sections="\n".join(
            f'<h2 id="{name.lower()}">{name}</h2>\n{content}' for name, content in filled.items()
        ),
    )


def _subtitle(systems: Sequence[SystemResults]) -> str:
    tracks = {record.track for system in systems for record in system.records}
    windows = sorted({(record.window, record.hop) for system in systems for record in system.records})
    told = ", ".join(f"{window:g} s every {hop:g} s" for window, hop in windows)
    counts = f"{counted(len(systems), 'system')}, {counted(len(tracks), 'track')}"
    return f"{counts}. BSS Eval v4, windows of {told}. All scores in dB."


def _summary(systems: Sequence[SystemResults]) -> str:
    legend = "".join(
        f'<li class="{colour}"><i></i>{escape(name)}</li>' for name, colour in _colours(systems).items()
    )
    told = (
        "Medians over tracks of medians over windows, with the 95 % confidence interval of the SDR where "
        f"there are tracks enough; {' and '.join(TRACK_METRICS)} are of whole tracks. s/s: seconds of "
        "separating for a second of audio; MB: peak memory of the separating process."
    )
    summary = summary_table(systems)
    table = _table(summary.headings, summary.rows)
    return f'<ul class="legend">{legend}</ul><p class="soft">{told}</p>{table}'


def _values(systems: Sequence[SystemResults], target: str, metric: str) -> dict[str, list[float]]:
    """Values of the boxes of a target: one for each track, or for each window if there are few tracks."""
    by_track = not _few_tracks(systems)
    return {
        system.name: system.tracks(target, metric)
        if by_track
        else [value for values in system.frames(target, metric) for value in values]
        for system in best_first(systems, target)
    }


def _colours(systems: Sequence[SystemResults]) -> dict[str, str]:
    """Style class of each system; the style sheet has eight colours."""
    return {system.name: f"c{index % 8}" for index, system in enumerate(systems)}


def _few_tracks(systems: Sequence[SystemResults]) -> bool:
    return max((len(system.records) for system in systems), default=0) < FEW_TRACKS


def _boxes(systems: Sequence[SystemResults]) -> str:
    of_what = (
        "windows, because there are few tracks" if _few_tracks(systems) else "tracks (medians over windows)"
    )
    figures = "".join(
        _plots(
            systems,
            target,
            [
                box_plot(
                    {metric: _values(systems, target, metric)},
                    _colours(systems),
                    f"{metric} of {target} by system",
                )
                for metric in FRAME_METRICS
            ],
        )
        for target in all_targets(systems)
    )
    told = f"Boxes over {of_what}: quartiles and median, whiskers to 1.5 of the box."
    return f'<p class="soft">{told}</p>{figures}'


def _plots(systems: Sequence[SystemResults], target: str, plots: Sequence[str]) -> str:
    """Plots of a target, which wrap in narrow windows; small where there is nothing to compare."""
    single = len(systems) > 1 and sum(target in system.targets for system in systems) == 1
    figure = f"<h3>{escape(target)}</h3><figure class='plots'>{''.join(plots)}</figure>"
    return f"<div class='single'>{figure}</div>" if single else figure


def _distributions(systems: Sequence[SystemResults]) -> str:
    figures = "".join(
        _plots(
            systems,
            target,
            [
                density_plot(
                    {
                        system.name: [x for track in system.frames(target, metric) for x in track]
                        for system in systems
                    },
                    _colours(systems),
                    f"{metric} of windows",
                )
                for metric in FRAME_METRICS
            ],
        )
        for target in all_targets(systems)
    )
    return figures


def _differences(systems: Sequence[SystemResults]) -> str:
    try:
        comparisons = compare_with_best(systems)
    except UsageError as error:
        return f'<p class="soft">{escape(str(error))}</p>'
    told = (
        "The best system and each other one on the tracks of both: median difference of SDR, "
        "Wilcoxon's signed-rank test with Holm's correction, and rank-biserial effect size (1: better on "
        "every track)."
    )
    rows = [
        [
            comparison.target,
            comparison.best,
            comparison.other,
            str(comparison.test.num_pairs),
            decibels(comparison.test.median_difference),
            f"{comparison.p_value:.2g}",
            f"{comparison.test.effect_size:.2f}",
        ]
        for comparison in comparisons
    ]
    headings = ("target", "best", "other", "tracks", "difference", "p", "effect size")
    return f'<p class="soft">{told}</p>{_table(headings, rows)}' if rows else ""


def _listen(systems: Sequence[SystemResults]) -> str:
    players = render_players(systems)
    hint = "Excerpts where most of the sources sound. Click a picture to hear it; all of them run in step."
    return f'<p class="soft">{hint}</p>{players}' if players else ""


def _tracks(systems: Sequence[SystemResults]) -> str:
    metrics = all_metrics(systems)
    whole = metrics[len(FRAME_METRICS) :]
    rows = [
        [
            record.track,
            target.name,
            system.name,
            *(decibels(summarize(target.frames[metric])) for metric in FRAME_METRICS),
            *(decibels(target.whole.get(metric, float("nan"))) for metric in whole),
            f"{record.cost.elapsed:.1f}" if record.cost else NO_VALUE,
        ]
        for system in systems
        for record in system.records
        for target in record.targets
    ]
    worst_first = sorted(rows, key=lambda row: float(row[3]) if row[3] != NO_VALUE else float("inf"))
    hint = '<p class="soft">Worst SDR first; a click on a heading sorts by its column.</p>'
    return hint + _table((*_NAMES, *metrics, "s"), worst_first)


def _notes(systems: Sequence[SystemResults]) -> str:
    problems = [
        f"{system.name}: {track} has no scores: {reason}"
        for system in systems
        for track, reason in system.failures.items()
    ]
    problems += [
        f"{system.name}, {record.track}, {line}"
        for system in systems
        for record in system.records
        for line in record.refused
    ]
    items = [f'<li class="problem">{escape(line)}</li>' for line in problems]
    for system in systems:
        counts = Counter(note for record in system.records for note in _remarks(record))
        items += [
            f"<li>{escape(system.name)}, {counted(count, 'track')}: {escape(note)}</li>"
            for note, count in counts.items()
        ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _remarks(record: TrackRecord) -> list[str]:
    names = ", ".join(target.name for target in record.targets if target.rank_deficient)
    told = f"{names}: the references are band-limited or alike; directions that they do not have are left out"
    return [*record.notes, *([told] if names else [])]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table with right-aligned numbers, which the script of the page sorts."""
    kinds = [' class="words"' if heading in _WORDS else "" for heading in headings]
    head = "".join(
        f'<th scope="col"{kind}><button type="button">{escape(heading)}</button></th>'
        for heading, kind in zip(headings, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table class="data">{table}</table></div>'
