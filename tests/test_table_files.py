"""Tables as programs read them."""

from __future__ import annotations

import csv

import openpyxl
import pytest

from soloist.errors import UsageError
from soloist.table_files import write_table

ROWS = [
    {"name": "a, b", "best": 7.25, "epochs": 3, "note": None},
    {"name": '=HYPERLINK("x")', "epochs": 4, "test/new/sdr": -1.5},
]
HEADINGS = ["name", "best", "epochs", "note", "test/new/sdr"]


def test_csv(tmp_path):
    write_table(ROWS, tmp_path / "new" / "table.csv")
    with (tmp_path / "new" / "table.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == HEADINGS
    assert list(first.values()) == ["a, b", "7.25", "3", "", ""]
    assert list(second.values()) == ['=HYPERLINK("x")', "", "4", "", "-1.5"]


def test_a_sheet_has_numbers_as_numbers_and_computes_nothing(tmp_path):
    write_table(ROWS, tmp_path / "table.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "table.xlsx").active
    assert list(sheet.values) == [
        tuple(HEADINGS),
        ("a, b", 7.25, 3, None, None),
        ('=HYPERLINK("x")', None, 4, None, -1.5),
    ]
    assert sheet["A3"].data_type == "s"
    assert sheet["A1"].font.bold
    assert sheet.freeze_panes == "A2"


def test_no_rows_are_an_empty_table(tmp_path):
    for suffix in ("csv", "xlsx"):
        write_table([], tmp_path / f"table.{suffix}")
    assert (tmp_path / "table.csv").read_text() == ""


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"written as \.csv or \.xlsx: give .*table\.csv"):
        write_table(ROWS, tmp_path / "table.ods")
    assert not list(tmp_path.iterdir())
