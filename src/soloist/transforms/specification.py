"""Transforms from a short text: `stft:4096:1024`, `slicq:bark:262:32.9`."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from soloist.errors import UsageError
from soloist.transforms.slicq import SliCQ
from soloist.transforms.stft import STFT
from soloist.transforms.transform import Transform

FORMS = ("stft:n_fft:hop_length:window", "slicq:scale:bins:fmin:slice_length:gamma")
"""Forms of a transform's text. Values may be left out from the end, or be empty."""

_TYPES: dict[str, Callable[[str], Any]] = {"window": str, "scale": str, "fmin": float, "gamma": float}
_FIELDS = {name: fields for name, *fields in (form.split(":") for form in FORMS)}


def parse_transform(specification: str, sample_rate: int) -> Transform:
    """Make a transform from a text.

    Args:
        specification: Text as in `FORMS`. Missing values have the defaults of `SliCQ`; an STFT has 4096
            samples and a hop of a quarter.
        sample_rate: Hz.

    Raises:
        UsageError: Unknown transform, or a value that is not a number or out of range.
    """
    name, *texts = specification.split(":")
    if name not in _FIELDS:
        near = get_close_matches(name, _FIELDS, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no transform {name!r}: {guess}write {' or '.join(FORMS)}")
    values = _values(specification, name, texts)
    try:
        if name == "slicq":
            return SliCQ(**values, sample_rate=sample_rate)
        n_fft = values.setdefault("n_fft", 4096)
        return STFT(**{"hop_length": n_fft // 4, **values})
    except UsageError as error:
        raise UsageError(f"transform {specification}: {error}") from error


def _values(specification: str, name: str, texts: list[str]) -> dict[str, Any]:
    fields = _FIELDS[name]
    if len(texts) > len(fields):
        raise UsageError(f"transform {specification} has too many values: write {name}:{':'.join(fields)}")
    values = {}
    for field, text in zip(fields, texts, strict=False):
        kind = _TYPES.get(field, int)
        try:
            values.update({field: kind(text)} if text else {})
        except ValueError as error:
            number = "a number" if kind is float else "a whole number"
            raise UsageError(f"transform {specification}: {field} {text!r} is not {number}") from error
    return values
