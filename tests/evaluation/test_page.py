"""The page: one file with everything in it."""

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import av
import numpy as np
import pytest

from soloist.evaluation import load_results, render_page
from soloist.evaluation.page.svg import box_plot, density_plot
from soloist.players.spectrogram_picture import encode_png, spectrogram_uri
from synthetic_results import write_system

SVG = "{http://www.w3.org/2000/svg}"


class _Elements(HTMLParser):
    """Counts elements and gathers what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.references: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.references += [value for name, value in attributes if name in ("src", "href") and value]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    write_system(results, "better <b>", mean=8.0, failures={"song & dance": "damaged"}, listen=True)
    write_system(results, "worse", mean=2.0, listen=True)
    return render_page(load_results([results]))


def test_the_page_refers_to_nothing_outside(page):
    elements = _Elements()
    elements.feed(page)
    assert elements.references
    assert all(reference.startswith(("data:", "#")) for reference in elements.references)
    assert not re.search(r"https?://|@import|url\(", page)
    assert not set(elements.counts) & {"link", "iframe", "object"}


def test_the_page_has_its_plots_tables_and_players(page):
    elements = _Elements()
    elements.feed(page)
    targets, metrics = 2, 4
    assert elements.counts["svg"] == 2 * targets * metrics
    assert page.count("<div class='clips'>") == 1 + targets
    assert elements.counts["table"] > 1
    assert page.count('class="listen"') == 1
    assert page.count("data-audio=") == 1 + targets * 3, "the mixture, references and two systems"
    assert elements.counts["img"] == page.count("data-audio=")


def test_names_are_escaped(page):
    assert "better &lt;b&gt;" in page
    assert "song &amp; dance has no scores: damaged" in page
    assert "better <b>" not in page


def test_the_sound_in_the_page_is_that_of_the_excerpt(page):
    sound = base64.b64decode(re.search(r'data-audio="([^"]+)"', page).group(1))
    with av.open(io.BytesIO(sound)) as container:
        assert container.streams.audio[0].codec_context.name.startswith("mp3")
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples >= 2 * 8000


def test_a_box_shows_the_quartiles():
    values = list(np.arange(101.0))
    svg = ElementTree.fromstring(
        box_plot({"SDR": {"a": values, "b": [50.0]}}, {"a": "c0", "b": "c1"}, "scores").replace(
            "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '
        )
    )
    boxes = svg.findall(f"{SVG}g")
    assert [box.get("class") for box in boxes] == ["box c0", "box c1"]
    assert boxes[0].find(f"{SVG}title").text == "a: median 50.00, quartiles 25.00 and 75.00 dB, 101 values"
    ticks = {
        float(text.text): float(text.get("x"))
        for text in svg.iter(f"{SVG}text")
        if text.get("class") == "tick"
    }
    scale = (ticks[100.0] - ticks[0.0]) / 100
    box = boxes[0].find(f"{SVG}rect")
    assert float(box.get("x")) == pytest.approx(ticks[0.0] + 25 * scale, abs=0.2)
    assert float(box.get("width")) == pytest.approx(50 * scale, abs=0.2)


def test_plots_take_what_is_not_finite_and_nothing_at_all():
    values = {"a": [np.nan, np.inf], "b": [], "c": [3.0]}
    colours = dict.fromkeys(values, "c0")
    for svg in (box_plot({"SDR": values}, colours, "scores"), density_plot(values, colours, "scores")):
        ElementTree.fromstring(svg)
        assert "nan" not in svg.lower().replace("title", "")


def test_a_picture_is_a_png_of_its_pixels():
    pixels = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)
    with av.open(io.BytesIO(encode_png(pixels))) as container:
        (frame,) = container.decode(video=0)
    colours = frame.to_ndarray(format="rgb24")
    assert colours.shape == (12, 20, 3)
    lightness = colours.astype(float).sum(axis=2).ravel()
    assert lightness[0] < lightness[120] < lightness[239]


def test_a_tone_is_bright_at_its_frequency_only():
    rate = 8000
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate, dtype=np.float32)[None]
    png = base64.b64decode(spectrogram_uri(tone, rate).removeprefix("data:image/png;base64,"))
    with av.open(io.BytesIO(png)) as container:
        (frame,) = container.decode(video=0)
    brightness = frame.to_ndarray(format="gray").astype(float)[:, 100:-100].mean(axis=1)
    rows = len(brightness)
    expected = rows * (1 - np.log(1000 / 50) / np.log(rate / 2 / 50))
    assert abs(int(brightness.argmax()) - expected) < 3
    assert brightness[: rows // 8].max() < 0.3 * brightness.max()
