"""The README's "a new network is one new file and a configuration", as docs/recipes.md shows it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import soundfile

from soloist.datasets import SyntheticTalkers
from soloist.mixing import ClipMixer

# What makes the training one of a few steps; the network and the commands are those of the page.
SHORT = ["--data.examples_per_epoch", "4", "--data.batch_size", "2", "--trainer.max_epochs", "1"]
SMALL = ["--data.valid_examples", "2", "--data.test_examples", "2", "--watch.tensorboard", "false"]


@pytest.fixture
def section(repository) -> str:
    page = (repository / "docs" / "recipes.md").read_text(encoding="utf-8")
    return page.partition("## A network of one's own\n")[2].partition("\n## ")[0]


@pytest.fixture
def mixture(tmp_path) -> Path:
    corpus = SyntheticTalkers(talkers=4, utterances=2, seconds=2.0)
    example = ClipMixer(corpus, "train", sources=["a", "b"], sample_rate=8000, duration=2.0).draw(0)
    soundfile.write(tmp_path / "talkers.wav", example.mixture.T, 8000)
    return tmp_path / "talkers.wav"


@pytest.mark.slow
def test_a_new_network_is_one_new_file_and_a_configuration(
    section, mixture, tmp_path, repository, soloist, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    assert "A new network is one new file and a configuration" in (repository / "README.md").read_text(
        "utf-8"
    )
    for language, name in (("python", "mine.py"), ("yaml", "gates.yaml")):
        (block,) = re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)
        (tmp_path / name).write_text(block)
    train, separate = re.findall(r"^    soloist (.*)$", section, flags=re.MULTILINE)
    for command in ([*shlex.split(train), *SHORT, *SMALL], [*shlex.split(separate), "--format", "wav"]):
        done = soloist(*command)
        assert done.code == 0, done.err
    assert {path.stem for path in (tmp_path / "separated").rglob("*.wav")} == {"talker1", "talker2"}
