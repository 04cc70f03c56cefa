"""Command lines that are answered without PyTorch, and so at once."""

from __future__ import annotations

import shlex
import subprocess
import sys
import typing
from dataclasses import fields

import pytest

from soloist.cli.options import RECIPE_KEYS, STAGES
from soloist.training import Recipe, Stage

# Prints the slow packages that a command line imported, after its answer.
PROGRAM = """
import atexit, sys
atexit.register(lambda: print("IMPORTED", *sorted({"torch", "numpy", "lightning"} & {*sys.modules})))
from soloist.cli.main import main
main()
"""


def answer(arguments: str, folder) -> tuple[int, str, list[str]]:
    """Exit code, everything that was printed, and the slow packages that were imported."""
    command = [sys.executable, "-c", PROGRAM, *shlex.split(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    out, _, imported = done.stdout.rpartition("IMPORTED")
    return done.returncode, out + done.stderr, imported.split()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ("--help", 0, "Separate recordings into stems."),
        ("--version", 0, "soloist "),
        ("separate --help", 0, "--two-stems"),
        ("train --help", 0, "--resume"),
        ("models", 0, "two-stage-hpss"),
        ("models recommend", 0, "guitar and piano too"),
        ("models --json", 0, '"name": "umxl"'),
        ("models show umxl", 0, "Open-Unmix"),
        ("models show umxk", 1, "did you mean 'umx'?"),
        ("separate", 2, "name at least one file"),
        ("separate --nope x.wav", 2, "; soloist separate -h explains the arguments"),
        ("separate song.wav --shifts two", 2, "soloist: invalid value for '--shifts'"),
        ("separate song.wav -o", 2, "soloist: option '-o' requires an argument"),
        ("separate song.wav --quiet --verbose", 2, "exclude each other"),
        ("separate gone.wav", 1, "gone.wav does not exist"),
        ("separate '*.flac'", 2, "nothing matches '*.flac'"),
        ("separate song.wav -m two-stage-hps", 1, "did you mean 'two-stage-hpss'?"),
        ("separate song.wav -m mdx_q", 1, "take htdemucs_ft"),
        ("evaluate", 2, "CORPUS"),
        ("evaluate umxl gone", 2, "there is no folder or file gone"),
        ("evaluate umxk .", 1, "did you mean 'umx'?"),
        ("evaluate . --search slicq --listen 2", 2, "--listen is not for --search"),
        ("score", 2, "REF_DIR"),
        ("score gone gone", 2, "there is no folder or file gone"),
        ("report gone", 2, "there is no folder or file gone"),
        ("profile umxk", 1, "did you mean 'umx'?"),
        ("tune umxk", 1, "did you mean 'umx'?"),
        ("export umxk --to onnx", 1, "did you mean 'umx'?"),
        ("init", 2, "name the training"),
        ("data check", 2, "give the folder of a corpus"),
        ("train", 2, "name one recipe"),
        ("train tiny-umxx", 2, "did you mean 'tiny-umx'?"),
        ("train tiny-umx --overwite yes", 2, "did you mean '--overwrite'?"),
        ("train tiny-umx --stages tran", 2, "did you mean 'train'?"),
        ("train tiny-umx --jobs 2", 2, "--jobs is for --sweep"),
        ("train --resume gone", 2, "there is no run in gone"),
        ("runs", 2, "there is no folder runs"),
        ("visualize", 2, "FILE"),
        ("visualize umxk song.wav", 1, "did you mean 'umx'?"),
        ("info", 2, "FILE..."),
        ("plot song.wav", 2, "soloist visualize FILE"),
        ("trian tiny-umx", 2, "did you mean 'train'?"),
        ("models lst", 2, "there is no command models lst"),
    ],
)
def test_it_is_answered_without_pytorch(arguments, code, told, tmp_path):
    (tmp_path / "song.wav").touch()
    found, text, imported = answer(arguments, tmp_path)
    assert (found, imported) == (code, [])
    assert told in text
    assert code == 0 or text.count("\n") == 1


@pytest.mark.parametrize("name", ["plot", "test", "run", "search", "sweep"])
def test_a_former_command_names_its_new_form(soloist, name):
    result = soloist(name, "x")
    assert (result.code, result.out) == (2, "")
    (line,) = result.err.splitlines()
    assert line.startswith(f"soloist: soloist {name} is now: soloist ")


@pytest.mark.parametrize(
    ("name", "program", "near"),
    [
        ("mdx_q", "Demucs", "htdemucs_ft, htdemucs, hdemucs_mmi"),
        ("repro_mdx_a", "Demucs", "htdemucs_ft, htdemucs, hdemucs_mmi"),
        ("spleeter:2stems-finetune", "Spleeter", "for vocals take htdemucs_ft"),
        ("UVR_MDXNET_9482", "Ultimate Vocal Remover", "for vocals take htdemucs_ft"),
        ("mel_band_roformer", "Music-Source-Separation-Training", "htdemucs_ft, htdemucs, hdemucs_mmi"),
    ],
)
def test_a_model_of_another_program_is_answered_with_what_does_its_job(soloist, song, name, program, near):
    result = soloist("separate", song, "-m", name)
    assert result.code == 1
    (line,) = result.err.splitlines()
    assert f"no model is named '{name}', which is a model of {program}" in line
    assert near in line
    assert "soloist models import FILE" in line


def test_a_recipe_is_no_model_yet(soloist, song):
    result = soloist("separate", song, "-m", "tiny-umx")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "tiny-umx is a recipe, not a model: soloist train tiny-umx makes one" in result.err


def test_what_is_known_without_an_import_is_what_the_import_says():
    # `from` is a word of Python, so its attribute is `from_`.
    assert {field.name.rstrip("_") for field in fields(Recipe)} == set(RECIPE_KEYS)
    assert typing.get_args(Stage) == STAGES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("soloist separate -m htdemucs_", "htdemucs_6s htdemucs_ft"),
        ("soloist separate --chain kar", "karaoke"),
        ("soloist models show bandit-p", "bandit-plus"),
        ("soloist train tiny-mdxn", "tiny-mdxnet"),
    ],
)
def test_shells_complete_names(tmp_path, monkeypatch, line, names):
    monkeypatch.setenv("_SOLOIST_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    _, out, imported = answer("", tmp_path)
    assert out.split() == names.split()
    assert imported == []
