"""The page as a browser shows it."""

import pytest

from chromium import start_chromium
from soloist.evaluation import load_results, write_reports
from synthetic_results import write_system

COLUMN = "[...document.querySelectorAll('h2#tracks ~ div tbody tr')].map(row => row.cells[3].textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    write_system(folder / "results", "better", mean=8.0, listen=True)
    write_system(folder / "results", "worse", mean=2.0, listen=True)
    page = write_reports(folder / "report", load_results([folder / "results"]))
    with start_chromium(folder / "profile") as tab:
        tab.open(page)
        yield tab


def test_every_plot_and_picture_is_drawn(browser):
    sizes = browser.run("[...document.querySelectorAll('svg.plot')].map(svg => svg.getBBox().width)")
    assert len(sizes) == 2 * 2 * 4
    assert min(sizes) > 100
    assert browser.run("[...document.images].every(image => image.complete && image.naturalWidth === 480)")
    inside = "getComputedStyle(document.querySelector('svg .box rect')).fill"
    assert browser.run(inside) == "rgb(0, 114, 178)", "the style sheet colours the plots"


@pytest.mark.parametrize("width", [1280, 420])
def test_plots_and_players_of_every_system_lie_inside_of_the_window(browser, width):
    browser.run(f"document.body.style.width = '{width}px'")
    rights = browser.run(
        "[...document.querySelectorAll('svg.plot, .clip, figcaption')].map(one => "
        "one.getBoundingClientRect().right - document.body.getBoundingClientRect().left)"
    )
    browser.run("document.body.style.width = ''")
    assert len(rights) > 20
    assert max(rights) <= width


def test_a_click_on_a_heading_sorts_the_tracks(browser):
    heading = "h2#tracks ~ div th:nth-child(4) button"
    browser.click(heading)
    values = [float(text) for text in browser.run(COLUMN)]
    assert len(values) == 24
    assert values == sorted(values)
    browser.click(heading)
    assert [float(text) for text in browser.run(COLUMN)] == sorted(values, reverse=True)


def test_play_plays_and_a_picture_switches_what_is_heard(browser):
    playing = "document.querySelector('.listen').dataset"
    browser.click(".listen .play")
    browser.wait_for(f"{playing}.playing === 'true' && Number({playing}.position) > 0.2")
    browser.click(".clip[aria-label='vocals, better']")
    pressed = "[...document.querySelectorAll('.clip[aria-pressed=true]')].map(clip => clip.ariaLabel)"
    assert browser.run(pressed) == ["vocals, better"]
    browser.wait_for(f"Number({playing}.position) > 0.5")
    browser.click(".listen .play")
    assert browser.run(f"{playing}.playing") == "false"
    stopped = browser.run(f"{playing}.position")
    assert browser.run(f"new Promise(done => setTimeout(() => done({playing}.position), 200))") == stopped


def test_nothing_is_asked_of_the_network_and_no_script_fails(browser):
    assert browser.requests
    assert all(url.startswith(("file:", "data:", "about:")) for url in browser.requests)
    assert not browser.errors
