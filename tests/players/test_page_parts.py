"""Scripts and styles of players."""

import re

from soloist.players import inline_scripts, read_part


def test_modules_are_joined_behind_those_that_they_import_and_each_once():
    script = inline_scripts(["mixer.js", "transport.js"])
    places = [script.index(f"class {name} ") for name in ("Transport", "Waveform", "Mixer")]
    assert places == sorted(places)
    assert script.count("class Transport ") == 1
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


def test_no_part_asks_another_host():
    for name in ("mixer.js", "transport.js", "waveform.js", "pitch_worklet.js", "players.css"):
        assert "://" not in read_part(name)
