"""The code of docs/python.md and examples/service.py: runs as written, and has the right types."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="module")
def program(repository):
    page = (repository / "docs" / "python.md").read_text(encoding="utf-8")
    return "\n\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))


def test_the_page_runs_as_written(program, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    noise = 0.1 * np.random.default_rng(0).standard_normal((4 * 8000, 2))
    soundfile.write("song.wav", noise, 8000)
    exec(compile(program, "docs/python.md", "exec"), {"__name__": "page"})
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "['harmonic', 'percussive'] (2, 16000) 8000"
    assert "['harmonic', 'no_harmonic']" in shown
    assert "4.0 of 4.0 s" in shown
    assert shown[-1] == "the model has no stem 'vocals'; it has harmonic, percussive"
    assert soundfile.info("stems/harmonic.flac").subtype == "PCM_16"
    assert sorted(path.name for path in tmp_path.glob("separated/hpss/song/*.flac")) == [
        "harmonic.flac",
        "no_harmonic.flac",
    ]


@pytest.mark.slow
def test_the_types_are_right(program, repository, tmp_path):
    page = tmp_path / "page.py"
    page.write_text(program, encoding="utf-8")
    files = [page, repository / "examples" / "service.py"]
    for file in files:
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", file],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"MYPYPATH": str(repository / "src"), "PATH": ""},
        )
        assert done.returncode == 0, done.stdout
