from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import soundfile

import soloist
from soloist.separators import Separator


def test_import_is_light():
    program = "import sys, soloist; print({'torch', 'numpy', 'soundfile'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


def test_public_names_are_there():
    assert soloist.Separator is Separator
    assert callable(soloist.load)
    assert callable(soloist.separate)
    assert soloist.Separation is soloist.inference.Separation
    assert set(soloist.__all__) <= set(dir(soloist))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="tremolo"):
        _ = soloist.tremolo


def test_version_is_that_of_the_installed_package():
    assert version("soloist") == soloist.__version__


# Packages that other work than separating a WAV file needs, each of which would delay every separation.
HEAVY = """
av fastapi jinja2 lightning matplotlib numba onnx onnxruntime onnxscript openvino optuna pandas pooch ray
requests scipy sklearn sympy torchmetrics torch._dynamo torch._inductor torch.onnx torch.utils.tensorboard
soloist.zoo.importers soloist.inference.dry_run.separation_time soloist.training.recipe
soloist.cli.console_library
"""


def test_separating_imports_nothing_that_it_does_not_need(tmp_path):
    soundfile.write(tmp_path / "tone.wav", np.full((800, 1), 0.1), 8000)
    program = (
        "import sys; from soloist.cli.main import main\n"
        "sys.argv[1:] = ['separate', 'tone.wav', '-m', 'hpss', '-q']\n"
        "try: main()\n"
        "finally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    modules = done.stdout.split()
    assert done.returncode == 0, done.stderr
    assert "soundfile" in modules
    assert {*HEAVY.split()} & {*modules} == set()
    assert {path.name for path in tmp_path.rglob("*.wav")} == {"tone.wav", "harmonic.wav", "percussive.wav"}
