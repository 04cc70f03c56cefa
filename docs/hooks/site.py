"""Hook of the site's build: pages made from the code, the cards, the messages and the tables."""

from __future__ import annotations

import re

import api_pages
import csv_tables
import model_pages
import outside_files
import song_player
from message_pages import message_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

Navigation = list[dict[str, object]]

LOADED = re.compile(r'<(?:script|link|img|iframe|audio)\b[^>]*\b(?:src|href)="(https?://[^"]+)')
"""Address on another host from which a page loads something."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation's section of the API: one page a package."""
    entries: Navigation = config.nav or []
    for entry in entries:
        if "API" in entry:
            entry["API"] = api_pages.navigation()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made, and what lies outside the folder of the documentation."""
    made = {"all-models.md": model_pages.model_page(), "all-messages.md": message_page()}
    for address, text in made.items():
        files.append(File.generated(config, address, content=text))
    for address, source in outside_files.linked_files(files).items():
        files.append(File.generated(config, address, abs_src_path=str(source)))
    for address, content in song_player.files().items():
        files.append(File.generated(config, address, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Complete the text of a page: names of a package, tables from files, links that leave the folder."""
    address = page.file.src_uri
    markdown = api_pages.with_names(markdown, address)
    markdown = csv_tables.with_tables(markdown, address)
    return outside_files.with_links(markdown, address)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that loads something from another host: the site works without a network."""
    if found := LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads {found[1]}")
    return output
