"""Transforms by a short text, for command lines and names of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from soloist.errors import UsageError
from soloist.transforms.base import Transform
from soloist.transforms.slicq import SliCQ
from soloist.transforms.stft import STFT

_Fields = Mapping[str, Callable[[str], object]]

_STFT: _Fields = {"n_fft": int, "hop_length": int, "window": str}
_SLICQ: _Fields = {"scale": str, "bins": int, "fmin": float, "slice_length": int, "gamma": float}

USAGE = f"stft:{':'.join(_STFT).upper()} or slicq:{':'.join(_SLICQ).upper()}; the last ones may be left out"


def parse_transform(text: str, sample_rate: int) -> Transform:
    """The transform that a text stands for.

    Args:
        text: `stft:4096:1024:hann` (samples of the window and of the hop) or `slicq:bark:262:32.9` (scale,
            bins, lowest centre in Hz, and perhaps the samples of a slice and the gamma of "variable-q" in
            Hz). What is left out at the end is the transform's own choice.
        sample_rate: Rate of what is transformed, Hz.

    Raises:
        UsageError: The text is none of these, or a value is out of range.
    """
    name, *values = text.split(":")
    fields = {"stft": _STFT, "slicq": _SLICQ}.get(name)
    if fields is None or not 0 < len(values) <= len(fields):
        raise UsageError(f"the transform {text!r} must be {USAGE}")
    arguments = {}
    for (key, kind), value in zip(fields.items(), values, strict=False):
        try:
            arguments[key] = kind(value)
        except ValueError:
            raise UsageError(f"the transform {text!r}: {key} must be a number, not {value!r}") from None
    if name == "stft":
        return STFT(**arguments)  # type: ignore[arg-type]
    return SliCQ(**arguments, sample_rate=sample_rate)  # type: ignore[arg-type]
