"""No command replaces what it reads: by its name, a hard link or a symbolic link."""

import os
import shutil
from pathlib import Path

import pytest

from soloist.zoo import card_of


@pytest.fixture
def contents():
    """Compare the files below a folder with what they were."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    return read


def linked(kind: str, source: Path, path: Path) -> Path:
    """Make a name of a file: the file itself moved there, or a link to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "same":
        return source.rename(path)
    (os.link if kind == "hard" else os.symlink)(source, path)
    return source


@pytest.fixture
def small_model(tmp_path):
    """A model folder of one's own."""
    return Path(shutil.copytree(card_of("tiny-sudormrf-digits").folder, tmp_path / "model"))


@pytest.fixture(params=["same", "hard", "symbolic"])
def place(request):
    """Give a file the name of an output, in one of the ways; return the file that is the input."""
    return lambda source, path: linked(request.param, source, path)


def refused(result, source) -> bool:
    """One line that names the input and the way out, with the code of wrong usage."""
    reasons = (f"would replace the input {source}", "lies outside the output folder")
    lines = result.err.splitlines()
    return result.code == 2 and len(lines) == 1 and any(reason in lines[0] for reason in reasons)


def test_the_picture_of_a_recording(soloist, song, tmp_path, place, contents):
    source = place(Path(shutil.copy(song, tmp_path / "own.wav")), tmp_path / "picture.png")
    before = contents(tmp_path)
    result = soloist("visualize", source, "--transform", "stft:256:64", "-o", tmp_path / "picture.png")
    assert refused(result, source), result.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["mixture.wav", "percussive.wav", "picture.png"])
def test_the_sounds_of_a_visualization(soloist, song, tmp_path, place, contents, name):
    source = place(Path(shutil.copy(song, tmp_path / "own.wav")), tmp_path / "out" / name)
    before = contents(tmp_path)
    result = soloist("visualize", "hpss", source, "--duration", 0.2, "-o", tmp_path / "out")
    assert refused(result, source), result.err
    assert contents(tmp_path) == before


def test_the_excerpts_of_scores(soloist, song, tmp_path, place, contents):
    for folder in ("ref", "est"):
        (tmp_path / folder / "track").mkdir(parents=True)
        shutil.copy(song, tmp_path / folder / "track" / "vocals.wav")
    stem = tmp_path / "ref/track/vocals.wav"
    place(tmp_path / "ref/track/vocals.wav", tmp_path / "results/est/listen/track/mixture.mp3")
    if not stem.exists():
        os.link(tmp_path / "results/est/listen/track/mixture.mp3", stem)
    before = contents(tmp_path)
    result = soloist("score", tmp_path / "ref", tmp_path / "est", "-o", tmp_path / "results", "--listen", 1)
    assert refused(result, stem), result.err
    assert contents(tmp_path) == before


def test_the_reports_of_an_evaluation(soloist, song, tmp_path, contents):
    (tmp_path / "corpus/track").mkdir(parents=True)
    stem = Path(shutil.copy(song, tmp_path / "corpus/track/vocals.wav"))
    (tmp_path / "results").mkdir()
    os.link(stem, tmp_path / "results/table.md")
    before = contents(tmp_path)
    result = soloist("evaluate", "oracle:mixture", tmp_path / "corpus", "-o", tmp_path / "results")
    assert refused(result, stem), result.err
    assert contents(tmp_path) == before


def test_the_table_of_runs(soloist, tmp_path, place, contents):
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/recipe.yaml").write_text("name: one\n")
    metrics = tmp_path / "runs/one/metrics.csv"
    metrics.write_text("step,valid/loss\n1,2.0\n")
    table = tmp_path / "table.csv"
    if place(metrics, table) == table:
        table.rename(metrics)
        table = metrics
    before = contents(tmp_path)
    result = soloist("runs", tmp_path / "runs", "-o", table)
    assert refused(result, metrics), result.err
    assert contents(tmp_path) == before


def test_the_reports_of_a_profile(soloist, tmp_path, place, contents):
    assert soloist("init", tmp_path / "mine", "--family", "tdf").code == 0
    recipe = place(tmp_path / "mine.yaml", tmp_path / "out" / "costs.yaml")
    before = contents(tmp_path)
    result = soloist("profile", recipe, "--csv", tmp_path / "out" / "costs.yaml")
    assert refused(result, recipe), result.err
    assert contents(tmp_path) == before


def test_a_recipe_that_is_begun_from_another(soloist, tmp_path, place, contents):
    assert soloist("init", tmp_path / "mine", "--family", "tdf").code == 0
    recipe = place(tmp_path / "mine.yaml", tmp_path / "next.yaml")
    before = contents(tmp_path)
    result = soloist("init", tmp_path / "next", "--recipe", recipe, "--overwrite")
    assert refused(result, recipe), result.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("options", [[], ["--half"]])
def test_a_model_that_is_imported_and_exported(soloist, small_model, tmp_path, contents, options):
    before = contents(small_model)
    (tmp_path / "link").symlink_to(small_model)
    for output in (small_model, tmp_path / "link"):
        result = soloist("models", "import", small_model, "-o", output, "--overwrite", *options)
        assert result.code == 2, result.err
        assert "would replace the input" in result.err
        result = soloist("export", small_model, "--to", "torchscript", "-o", output, "--force")
        assert result.code == 1, result.err
        assert "holds other things than an export" in result.err
    assert contents(small_model) == before
