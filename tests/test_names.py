"""Names and words of the whole package: one thing, one name; faces; plain docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from importlib import import_module

import pytest
from torch import nn

from soloist.config.class_paths import class_path_of, faces, full_path
from soloist.errors import ConfigError

NO_NOUN = re.compile(r"(What|Whether|How|Where|Told|That)\b")
"""Beginnings of docstrings that hide the noun."""


@pytest.fixture(scope="module")
def trees(repository):
    """Syntax trees of the package, by file."""
    files = sorted((repository / "src" / "soloist").rglob("*.py"))
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


def test_a_class_name_stands_for_one_thing(trees):
    homes = defaultdict(list)
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(file.stem)
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_docstrings_begin_with_a_noun_or_an_imperative(trees):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{file.name}: {text.splitlines()[0]}"
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, documented) and NO_NOUN.match(text := ast.get_docstring(node) or "")
    ]
    assert found == []


FACES = sorted(faces())


@pytest.mark.parametrize("package", FACES)
def test_a_face_holds_what_it_names(package):
    module = import_module(package)
    for name in faces()[package]:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("package", FACES)
def test_a_class_is_named_after_its_face(package):
    module = import_module(package)
    for name in faces()[package]:
        exported = getattr(module, name)
        if inspect.isclass(exported) and exported.__module__.startswith("soloist."):
            assert class_path_of(exported) == f"{package}.{name}"


def test_a_short_name_is_completed():
    assert full_path("SuDoRMRF", "test") == "soloist.networks.SuDoRMRF"
    assert full_path("StemFolders", "test") == "soloist.datasets.StemFolders"


def test_a_name_that_no_class_has_gets_the_nearest():
    for wrong in ("StemFolder", "soloist.datasets.StemFolder", "soloist.datasets.layouts.StemFolder"):
        with pytest.raises(ConfigError, match=r"did you mean soloist\.datasets\.StemFolders\?"):
            full_path(wrong, "test")


def test_a_class_of_others_keeps_its_module():
    assert full_path("torch.optim.Adam", "test") == "torch.optim.Adam"
    assert class_path_of(nn.Linear) == "torch.nn.modules.linear.Linear"
