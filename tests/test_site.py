"""The site: links lead somewhere, examples are true, and what is made from the code holds all of it."""

from __future__ import annotations

import doctest
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from soloist.cli.names import recipe_names
from soloist.config.class_paths import faces
from soloist.zoo import models
from soloist.zoo.composition_files import preset_names

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]
API = sorted(DOCS.glob("api/*.md"))
MADE = {"all-models.md", "all-messages.md"}
"""Pages that the build makes."""


@pytest.fixture(scope="module")
def hooks():
    """The modules that make pages, which are no part of the package."""
    sys.path.insert(0, str(DOCS / "hooks"))
    yield import_module
    sys.path.remove(str(DOCS / "hooks"))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as the site makes them."""
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


def test_links_lead_somewhere():
    broken = []
    for page in PAGES:
        text = re.sub(
            r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
        )
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
            path, _, anchor = target.partition("#")
            place = (page.parent / path).resolve() if path else page
            if ":" in target or place.name in MADE:
                continue
            if not place.exists() or (anchor and anchor not in anchors(place)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken


def test_every_page_is_in_the_navigation():
    class Loader(yaml.SafeLoader):
        """Reader that leaves tags alone."""

    Loader.add_multi_constructor("", lambda loader, suffix, node: None)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"]
    listed = set(re.findall(r"[\w./-]+\.md", str(nav)))
    found = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.parent.name != "api"}
    assert found <= listed
    assert all((DOCS / page).exists() or (ROOT / page).exists() or page in MADE for page in listed)


def test_every_face_has_a_page_with_its_names(hooks):
    pages = hooks("api_pages")
    described = {f"soloist.{name}" if name != "soloist" else name for name in pages.packages()}
    assert described - {"soloist"} == set(faces())
    assert {page.stem for page in API} == {*pages.packages(), "index"}
    for package in pages.packages():
        text = pages.with_names("", f"api/{package}.md")
        path = f"soloist.{package}" if package != "soloist" else package
        names = set(import_module(path).__all__) - {name.partition(".")[2] for name in faces()}
        assert {name for name in names if f"::: {path}.{name}\n" in text} == names - {"__version__"}


@pytest.mark.parametrize("page", API, ids=lambda page: page.stem)
@pytest.mark.slow
def test_examples_are_true(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))
    examples = re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert examples or page.stem == "index"
    parser, said = doctest.DocTestParser(), []
    for number, text in enumerate(examples):
        test = parser.get_doctest(text, {}, f"{page.name} {number}", str(page), 0)
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("page", ["README.md", "docs/families.md", "docs/start/which-model.md"])
def test_models_and_recipes_of_the_tables_are_there(page):
    known = {card.name for card in models()} | set(recipe_names()) | set(preset_names())
    rows = re.findall(r"^\|.*\|$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(?:-m )?([a-z0-9]+(?:[-_][a-z0-9]+)+)`", row)}
    assert len(named) > 3
    assert named <= known


def test_every_model_is_on_the_page_of_models(hooks):
    page = hooks("model_pages").model_page()
    assert [card.name for card in models() if f"\n### {card.name}\n" not in page] == []
    assert "| [`htdemucs`](#htdemucs) | HTDemucs |" in page


@pytest.mark.slow
def test_the_page_of_messages_has_those_of_the_code(hooks):
    pages = hooks("message_pages")
    page = pages.message_page()
    patterns = [message.text for message in pages.messages()]
    assert len(patterns) > 600
    assert all(pattern in page for pattern in patterns)
    explained = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    for shown in re.findall(r'^\?\?\? question "`(.*)`"$', explained, re.MULTILINE):
        assert any(re.fullmatch(".+".join(map(re.escape, text.split("…"))), shown) for text in patterns), (
            shown
        )


def test_tables_come_from_their_files(hooks):
    text = hooks("csv_tables").with_tables("[figures](families.csv)\n", "results/families.md")
    rows = text.splitlines()
    assert rows[0].startswith("| model | parameters |")
    assert rows[1].startswith("| --- | ---: |")
    assert "| sudormrf | 215753 |" in text
    assert rows[-1] == "[figures](families.csv){ download }"
