"""The page of a song with its mixer."""

import base64
import json
import re

import numpy as np
import pytest
import soundfile

from chromium import start_chromium
from served_songs import noise
from soloist.audio import read_audio
from soloist.errors import UsageError
from soloist.players import write_song_page

RATE = 16000


@pytest.fixture
def stems(tmp_path):
    files = {}
    for seed, name in enumerate(("vocals", "</script><b>")):
        files[name] = tmp_path / f"{seed}.wav"
        soundfile.write(files[name], noise(seed, 2, 3 * RATE).T, RATE, "FLOAT")
    return files


def test_the_page_has_the_stems_in_it(tmp_path, stems):
    write_song_page(tmp_path / "mixer.html", "Ä & <song>", stems)
    text = (tmp_path / "mixer.html").read_text(encoding="utf-8")
    assert "<title>Ä &amp; &lt;song&gt;</title>" in text
    song = json.loads(re.search(r'id="song">(.*?)</script>', text)[1])
    assert (song["rate"], song["samples"], list(song["stems"])) == (RATE, 3 * RATE, list(stems))
    for name, file in stems.items():
        sound = tmp_path / "sound.mp3"
        sound.write_bytes(base64.b64decode(song["stems"][name]["sound"]))
        mp3, expected = read_audio(sound)[0], read_audio(file)[0]
        assert mp3.shape == expected.shape
        assert np.mean((mp3 - expected) ** 2) < 0.2 * np.mean(expected**2)
        assert len(base64.b64decode(song["stems"][name]["peaks"]["4096"])) == 2 * -(-3 * RATE // 4096)


def test_long_songs_and_many_channels_are_for_the_mixer(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros((901 * 1000, 1), np.float32), 1000)
    soundfile.write(tmp_path / "wide.wav", np.zeros((100, 4), np.float32), RATE)
    for name in ("long", "wide"):
        with pytest.raises(UsageError, match="soloist mix"):
            write_song_page(tmp_path / "page.html", "song", {"all": tmp_path / f"{name}.wav"})
    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
def test_the_page_plays_and_mixes_without_any_other_file(tmp_path, stems):
    write_song_page(tmp_path / "mixer.html", "song", stems)
    for file in stems.values():
        file.unlink()
    with start_chromium(tmp_path / "profile") as tab:
        tab.resize(390)
        tab.open(tmp_path / "mixer.html")
        tab.wait_for("document.querySelector('.mixer') !== null")
        assert tab.run("document.documentElement.scrollWidth") <= 390
        tab.click(".mixer .play")
        tab.wait_for("Number(document.querySelector('.mixer').dataset.position) > 0.5")
        tab.press("m")
        silent = "[...document.querySelectorAll('.strip')].map(strip => strip.hasAttribute('data-silent'))"
        assert tab.run(silent) == [True, False]
        assert not tab.errors
        assert all(url.startswith(("file:", "data:", "about:")) for url in tab.requests)
