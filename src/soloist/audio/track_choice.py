"""Choice among the audio streams of a file: by number, language or name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from soloist.errors import UsageError

# ISO 639-1, and the codes of ISO 639-2 for the same language, of which files use any.
_CODES = """
ar ara|bg bul|bn ben|ca cat|cs ces cze|cy cym wel|da dan|de deu ger|el ell gre|en eng|es spa|et est|eu eus baq
fa fas per|fi fin|fr fra fre|ga gle|gl glg|he heb|hi hin|hr hrv|hu hun|hy hye arm|id ind|is isl ice|it ita
ja jpn|ka kat geo|ko kor|la lat|lt lit|lv lav|mk mkd mac|ms msa may|my mya bur|nb nob no nor|nl nld dut|pl pol
pt por|ro ron rum|ru rus|sk slk slo|sl slv|sq sqi alb|sr srp|sv swe|ta tam|te tel|th tha|tr tur|uk ukr|ur urd
vi vie|yi yid|zh zho chi
"""
_LANGUAGES = tuple(frozenset(codes.split()) for line in _CODES.split("\n") for codes in line.split("|"))
_UNSTATED = "und"


def languages(streams: Iterable[Any]) -> tuple[str, ...]:
    """Languages of FFmpeg's streams by ISO 639; empty if not stated."""
    stated = (str(stream.metadata.get("language", "")).lower() for stream in streams)
    return tuple("" if language == _UNSTATED else language for language in stated)


def stream_titles(names: Sequence[str], spoken: Sequence[str]) -> list[str]:
    """Numbers of streams from 1, with the names and languages that the file states: `2 commentary (eng)`."""
    titles = []
    for number, (name, language) in enumerate(zip(names, spoken, strict=True), 1):
        name = "" if name in ("audio", f"audio {number}") else f" {name}"
        titles.append(f"{number}{name}" + (f" ({language})" if language else ""))
    return titles


def find_stream(path: Path, wanted: int | str, names: Sequence[str], spoken: Sequence[str]) -> int:
    """Number of a stream, from 0.

    Args:
        path: The file, for messages.
        wanted: A number from 0, a language (`de`, `deu` and `ger` are the same), or a name.
        names: Names of the streams.
        spoken: Languages of the streams.

    Raises:
        UsageError: There is no such stream, or several have the language.
    """
    if isinstance(wanted, int):
        found = [wanted] if 0 <= wanted < len(names) else []
    else:
        codes = _alike(wanted.lower())
        found = [number for number, language in enumerate(spoken) if codes & _alike(language)]
        found = found or [number for number, name in enumerate(names) if name.lower() == wanted.lower()]
    if len(found) == 1:
        return found[0]
    there = ", ".join(stream_titles(names, spoken))
    asked = f"track {wanted + 1}" if isinstance(wanted, int) else f"track {wanted!r}"
    if found:
        raise UsageError(f"{path} has several audio tracks {wanted!r}; choose one by number: {there}")
    raise UsageError(f"{path} has no audio {asked}; it has: {there}")


def _alike(language: str) -> frozenset[str]:
    """Codes of a language; regions (`en-US`) do not count."""
    code = language.partition("-")[0]
    known = (codes for codes in _LANGUAGES if code in codes)
    return next(known, frozenset({code} - {""}))
