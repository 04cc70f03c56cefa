"""Export of a separator into a folder: the exported file, `model.json` and `README.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from soloist.errors import ExportError, UsageError
from soloist.export.export_formats import ExportFormat, WeightPrecision, check_weights, find_format
from soloist.export.model_json import describe
from soloist.export.readme import readme
from soloist.export.selftest import TOLERANCES, SelfTest, selftest
from soloist.files import is_utf8, json_text
from soloist.folders import check_free, whole_folder
from soloist.inference.graphs.signature import FREE, FreeAxis, Signature
from soloist.resources import import_extra
from soloist.separators import Ensemble, Separator
from soloist.zoo import Card

CARD = "model.json"
README = "README.md"

_LONGEST_TEST = 2.0  # s


def export(
    separator: Separator,
    config: Mapping[str, Any],
    card: Card,
    folder: Path,
    to: str,
    *,
    chunk: float | None = None,
    overwrite: bool = False,
    precision: WeightPrecision = "float32",
) -> dict[str, Any]:
    """Export a separator into a folder, whole or not at all.

    The batch size and the length are free if the file then computes the same.

    Args:
        separator: Separator in eval mode.
        config: `class_path` and `init_args` of the separator.
        card: Card of the model.
        folder: Folder of the export.
        to: Format; see `FormatName`.
        chunk: Duration of a mixture in s, for an export of one mixture of that length; None for any.
        overwrite: Replace an earlier export.
        precision: Precision of the stored weights; the runtimes compute in float32.

    Returns:
        Content of `model.json`.

    Raises:
        UsageError: The separator has no network, the format is unknown, or a package is missing.
        ModelError: The folder holds something else.
        ExportError: The separator cannot be exported, or the exported file computes something else.
    """
    form = find_format(to)
    check_weights(form, precision)
    if isinstance(separator, Ensemble):
        separator = separator.fused()
    if separator.graph is None:
        raise UsageError(f"{card.name} has no network, so there is nothing to export")
    if chunk is not None and not chunk > 0:
        raise UsageError(f"chunk {chunk:g} s must be longer than 0 s")
    if not form.whole:
        import_extra(form.runtime, "openvino" if form.runtime == "openvino" else "export")
    if not is_utf8(folder):
        raise UsageError(f"{folder} is not UTF-8, and most runtimes open no such file: choose another folder")
    check_free(folder, "an export", _names(form), overwrite=overwrite)
    try:
        with whole_folder(folder) as whole:
            path = whole / form.files[0]
            signature, result, length = _convert(separator, path, form, card.name, chunk, precision)
            stated = describe(separator, config, card, form, whole, signature, result, length)
            stated["weights"] = precision
            text = json_text(stated, indent=2, ensure_ascii=False)
            (whole / CARD).write_text(text + "\n", encoding="utf-8")
            (whole / README).write_text(readme(stated), encoding="utf-8")
    except OSError as error:
        raise ExportError(f"cannot write {folder}: {error.strerror or error}") from error
    return stated


def _names(form: ExportFormat) -> tuple[str, ...]:
    return (*form.files, CARD, README)


def _convert(
    separator: Separator,
    path: Path,
    form: ExportFormat,
    name: str,
    chunk: float | None,
    precision: WeightPrecision,
) -> tuple[Signature, SelfTest, int | None]:
    """Write and test the file, with as many free axes as work.

    Returns:
        Inputs and outputs, the self-test, and the length if it is not free.
    """
    whole = separator.chunk_length if chunk is None else round(chunk * separator.sample_rate)
    fixed = max(whole, separator.minimum_length)
    for free in _attempts(chunk):
        shortest = max(separator.minimum_length, round(_LONGEST_TEST * separator.sample_rate))
        length = min(fixed, shortest) if "length" in free else fixed
        try:
            signature = form.write(separator, path, batch=1, length=length, free=free)
            if precision == "float16" and form.halve is not None:
                form.halve(path)
            tolerance = TOLERANCES[precision]
            result = selftest(separator, path, form, batch=1, length=length, free=free, tolerance=tolerance)
            return signature, result, None if "length" in free else length
        except ExportError as error:
            reason = error
    raise ExportError(f"{name} cannot be exported to {form.title}: {reason}") from reason


def _attempts(chunk: float | None) -> Iterator[Sequence[FreeAxis]]:
    if chunk is None:
        yield from (FREE, ("length",), ("batch",))
    yield ()
