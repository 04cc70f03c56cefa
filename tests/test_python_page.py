"""The code of docs/python.md and examples/service.py: runs as written, and has the right types."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

STRICT = (
    "# mypy: disallow-any-generics, disallow-subclassing-any, disallow-untyped-calls, disallow-untyped-defs\n"
    "# mypy: disallow-incomplete-defs, check-untyped-defs, disallow-untyped-decorators, warn-unused-ignores\n"
    "# mypy: warn-return-any, no-implicit-reexport, strict-equality, extra-checks\n"
)
"""The flags of `mypy --strict` for one file."""


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
    codes = {"page.py": program, "service.py": (repository / "examples" / "service.py").read_text("utf-8")}
    for name, code in codes.items():
        (tmp_path / name).write_text(STRICT + code, encoding="utf-8")
    # From the root mypy takes what `make types` has found of the package and of PyTorch.
    command = [sys.executable, "-m", "mypy", *(tmp_path / name for name in codes)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stdout
