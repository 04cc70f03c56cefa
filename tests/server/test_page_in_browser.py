"""The page as a browser shows it: a song dropped, heard, mixed and taken away."""

import os
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile

from chromium import start_chromium
from served_songs import noise, serving

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "band" / "mixture.flac"
RATE = 44100
MIXER = "document.querySelector('.mixer').dataset"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    os.environ["SOLOIST_HOME"] = str(folder / "home")
    with serving(folder / "jobs") as page:
        yield page
    del os.environ["SOLOIST_HOME"]


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    with start_chromium(tmp_path_factory.mktemp("profile")) as tab:
        tab.resize(1280)
        tab.open(page.url)
        tab.wait_for("document.querySelectorAll('#offer option').length > 5")
        yield tab


@pytest.fixture
def mixer(browser):
    """The mixer of the example, which was dropped on the page, at its beginning."""
    browser.resize(1280)
    if not browser.run("document.querySelector('.mixer') !== null"):
        browser.run("document.getElementById('offer').value = 'hpss'")
        browser.drop("#drop", EXAMPLE)
        browser.wait_for("document.querySelector('#jobs li[data-state=finished]') !== null")
        browser.click("#jobs li[data-state=finished] button")
        browser.wait_for("document.querySelector('.mixer') !== null")
    yield browser
    if browser.run(f"{MIXER}.playing") == "true":
        browser.click(".mixer .play")


def position(tab):
    return float(tab.run(f"{MIXER}.position"))


def play(tab):
    tab.click(".mixer .play")
    tab.wait_for(f"{MIXER}.playing === 'true'")


def pressed(tab, selector):
    return tab.run(f'document.querySelector("{selector}").ariaPressed') == "true"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_dropped_song_becomes_stems_that_play(mixer, width):
    mixer.resize(width)
    tracks = mixer.run("[...document.querySelectorAll('.strip')].map(strip => strip.dataset.track)")
    assert tracks == ["mixture", "harmonic", "percussive"]
    play(mixer)
    start = position(mixer)
    mixer.wait_for(f"Number({MIXER}.position) > {start} + 1")
    mixer.click(".mixer .play")
    stopped = position(mixer)
    assert (
        mixer.run(f"new Promise(done => setTimeout(() => done({MIXER}.position), 300))") == f"{stopped:.3f}"
    )


def test_waveforms_are_drawn_of_the_peaks(mixer):
    drawn = """[...document.querySelectorAll('.strip canvas')].map(canvas => {
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let filled = 0;
        for (let index = 3; index < data.length; index += 4) filled += data[index] > 0;
        return filled / (canvas.width * canvas.height);
    })"""
    mixture, harmonic, percussive = mixer.run(drawn)
    assert 0.2 < percussive / harmonic < 0.9
    assert mixture > percussive
    mixer.click(".tools [aria-keyshortcuts=G]")
    mixer.wait_for(
        "[...document.querySelectorAll('.picture')].every(each => each.complete && each.naturalWidth > 900)"
    )
    mixer.click(".tools [aria-keyshortcuts=G]")


def test_a_loop_stays_in_its_region_and_keys_do_what_they_say(mixer):
    mixer.press("Home")
    mixer.run("document.activeElement.blur()")
    mixer.press("l")
    assert pressed(mixer, ".tools [aria-keyshortcuts=L]")
    mixer.press("l")
    box = mixer.run(
        "(() => {const b = document.querySelector('.strip .view').getBoundingClientRect();"
        "return [b.x, b.y + b.height / 2, b.width]})()"
    )
    move = {"y": box[1], "button": "left", "clickCount": 1}
    mixer.call("Input.dispatchMouseEvent", type="mousePressed", x=box[0] + 0.25 * box[2], **move)
    mixer.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + 0.28 * box[2], **move)
    mixer.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + 0.30 * box[2], **move)
    mixer.call("Input.dispatchMouseEvent", type="mouseReleased", x=box[0] + 0.30 * box[2], **move)
    assert pressed(mixer, ".tools [aria-keyshortcuts=L]")
    mixer.press(" ")
    mixer.wait_for(f"{MIXER}.playing === 'true'")
    places = mixer.run(
        "new Promise(done => {const seen = []; const look = setInterval(() => {"
        f"seen.push(Number({MIXER}.position));"
        "if (seen.length === 40) {clearInterval(look); done(seen)}}, 50)})"
    )
    assert 12 * 0.24 < min(places) < max(places) < 12 * 0.31
    assert any(later < earlier for earlier, later in pairwise(places))
    mixer.press(" ")
    mixer.press("l")
    mixer.press("[")
    mixer.press("ArrowRight")
    mixer.press("]")
    region = mixer.run("(r => [r.left, r.width].map(parseFloat))(document.querySelector('.region').style)")
    assert region[0] == pytest.approx(100 * (position(mixer) - 5) / 12, abs=0.1)
    assert region[1] == pytest.approx(100 * 5 / 12, abs=0.1)
    mixer.press("2")
    assert mixer.run("document.querySelector('.strip[data-chosen]').dataset.track") == "percussive"
    mixer.press("m")
    assert pressed(mixer, "[data-track=percussive] .mute")
    mixer.press("m")


def test_mute_and_solo_change_what_sounds_and_what_is_taken_away(mixer, page):
    play(mixer)
    sounding = "[...document.querySelectorAll('.strip .meter i')].map(bar => bar.style.transform)"
    mixer.click("[data-track=percussive] .mute")
    mixer.wait_for(f"({sounding})[2] === 'scaleX(0)' && ({sounding})[1] !== 'scaleX(0)'")
    mix = mixer.run("document.getElementById('take-mix').getAttribute('href')")
    assert "harmonic" in mix
    assert "percussive" not in mix
    mixer.click("[data-track=percussive] .mute")
    mixer.click("[data-track=percussive] .solo")
    mixer.wait_for(f"({sounding})[1] === 'scaleX(0)' && ({sounding})[2] !== 'scaleX(0)'")
    mix = mixer.run("document.getElementById('take-mix').getAttribute('href')")
    status, content = page.ask(mix)
    assert (status, content[:4]) == (200, b"fLaC")
    mixer.click("[data-track=percussive] .solo")
    mixer.click(".tools [aria-keyshortcuts=B]")
    mixer.wait_for(f"({sounding})[0] !== 'scaleX(0)' && ({sounding})[1] === 'scaleX(0)'")
    mixer.click(".tools [aria-keyshortcuts=B]")


def test_another_speed_keeps_the_pitch(mixer):
    """Half a speed takes twice the time; the worklet's own test measures the pitch."""
    mixer.run("document.querySelector('.tools select').value = '0.5'")
    mixer.run("document.querySelector('.tools select').dispatchEvent(new Event('change'))")
    play(mixer)
    start = position(mixer)
    before = mixer.run("performance.now()")
    mixer.wait_for(f"Number({MIXER}.position) > {start} + 1")
    assert 1.6 < (mixer.run("performance.now()") - before) / 1000 < 3
    mixer.run("document.querySelector('.tools select').value = '1'")
    mixer.run("document.querySelector('.tools select').dispatchEvent(new Event('change'))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_sticks_out_and_axe_finds_nothing_serious(mixer, width, scheme):
    mixer.resize(width, scheme=scheme)
    assert mixer.run("document.documentElement.scrollWidth") <= width
    package = find_spec("axe_core_python")
    assert package is not None
    mixer.run((Path(package.origin).parent / "axe.min.js").read_text() + "; undefined")
    violations = mixer.run("axe.run().then(found => found.violations)")
    serious = [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_cancelled_job_really_stops(browser, page, tmp_path):
    soundfile.write(tmp_path / "long.wav", noise(1, 2, 300 * RATE).T, RATE)
    browser.run("document.getElementById('offer').value = 'repet-sim'")
    browser.choose("#files", tmp_path / "long.wav")
    browser.wait_for("document.querySelector('#jobs li[data-state=running]') !== null")
    browser.click("#jobs li[data-state=running] button")
    browser.wait_for("document.querySelector('#jobs li[data-state=running]') === null")
    # The worker is free again.
    again = page.upload(EXAMPLE.read_bytes())
    assert page.wait_for(again["id"], "finished", seconds=60)["notes"] == []
    page.ask(f"/api/jobs/{again['id']}", method="DELETE")


def test_a_failed_job_says_why(browser, page, tmp_path):
    (tmp_path / "text.mp3").write_text("no sound")
    browser.choose("#files", tmp_path / "text.mp3")
    browser.wait_for("document.querySelector('#jobs .failed') !== null")
    shown = browser.run("document.querySelector('#jobs .failed').textContent")
    assert "text.mp3" in shown
    assert "jobs" not in shown
    browser.click("#jobs li[data-state=failed] button")


def test_no_script_failed_and_nothing_was_asked_elsewhere(browser, page):
    assert [
        url for url in browser.requests if not url.startswith((page.url, "data:", "blob:", "about:"))
    ] == []
    assert [error for error in browser.errors if "404" not in error] == []
