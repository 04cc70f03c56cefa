from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

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


def test_separating_loads_nothing_that_only_exports_need():
    program = (
        "import sys, soloist.cli.console_batch; print({'sympy', 'onnxscript', 'lightning'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"
