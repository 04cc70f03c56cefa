"""Texts of files: JSON that every program reads."""

import json
import math

import pytest

from soloist.files import json_text


def test_numbers_that_are_not_finite_are_null_wherever_they_stand():
    value = {"a": math.nan, "b": [math.inf, (1.5, -math.inf)], "c": {"d": {"e": math.nan}}, "f": "NaN", "g": True}
    read = json.loads(json_text(value, indent=1), parse_constant=pytest.fail)
    assert read == {"a": None, "b": [None, [1.5, None]], "c": {"d": {"e": None}}, "f": "NaN", "g": True}
