"""Dataclasses of texts and numbers, checked against their annotations without jsonargparse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


class _NotPlainError(Exception):
    """A value that needs a conversion, or a type that is not plain."""


def plain_arguments(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arguments for a dataclass, if every value has exactly the type of its attribute.

    Args:
        cls: The class.
        values: Keys and values.

    Returns:
        The arguments, with lists as tuples and mappings as dataclasses where the class wants them; None if a
        slower check has to judge, convert or explain.
    """
    if not is_dataclass(cls) or (hints := _hints(cls)) is None:
        return None
    if not _required(cls) <= values.keys() <= hints.keys():
        return None
    try:
        return {key: _as_plain(value, hints[key]) for key, value in values.items()}
    except _NotPlainError:
        return None


@cache
def _required(cls: type[Any]) -> frozenset[str]:
    attributes = fields(cls)
    return frozenset(
        each.name for each in attributes if each.default is MISSING and each.default_factory is MISSING
    )


@cache
def _hints(cls: type[Any]) -> dict[str, Any] | None:
    names = {each.name for each in fields(cls) if each.init}
    try:
        return {name: hint for name, hint in get_type_hints(cls).items() if name in names}
    except NameError:
        # Some annotations name what is imported for type checkers alone.
        return None


def _as_plain(value: Any, hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        (hint, *others) = (part for part in get_args(hint) if part is not NoneType)
        if others:
            raise _NotPlainError
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if kind in (str, int, float, bool) and type(value) is kind:
        return value
    if kind is tuple and isinstance(value, (list, tuple)) and arguments[1:] == (...,):
        return tuple(_as_plain(part, arguments[0]) for part in value)
    if (
        kind is dict
        and arguments == (str, Any)
        and type(value) is dict
        and all(type(key) is str for key in value)
    ):
        return dict(value)
    if isinstance(kind, type) and is_dataclass(kind):
        return _as_record(value, kind)
    raise _NotPlainError


def _as_record(value: Any, kind: type[Any]) -> Any:
    if isinstance(value, kind):
        return value
    arguments = plain_arguments(kind, value) if isinstance(value, Mapping) else None
    if arguments is None:
        raise _NotPlainError
    return kind(**arguments)
