"""A stranger's parts in a recipe: trained, resumed, and run again only with consent."""

from __future__ import annotations

import csv
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from soloist.config import imports
from soloist.errors import ConfigError, UsageError
from soloist.mixing import Mixer
from soloist.resources import Processes
from soloist.training import read_recipe, train
from soloist.training.loop.checkpoints import read_checkpoint
from soloist.zoo import load

RATE = 1000

MINE = '''
from functools import cache, partial

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from soloist.datasets import Corpus, StemTrack, SynthesizedStem
from soloist.losses import SourceLoss
from soloist.metrics import Metric
from soloist.mixing import Augmentation, ClipMixer
from soloist.networks import MaskNetwork
from soloist.training import Sampler


class Gates(MaskNetwork):
    def __init__(self, filters: int = 8, outputs: int = 2) -> None:
        super().__init__()
        self.outputs = outputs
        self.convolution = nn.Conv1d(filters, outputs * filters, 3, padding=1)

    def forward(self, features):
        return torch.sigmoid(self.convolution(features)).unflatten(1, (self.outputs, -1))


class Power:  # A part that is no torch module.
    def __init__(self, exponent: float = 1.0) -> None:
        self.exponent = exponent


class Distance(SourceLoss):
    def __init__(self, power: Power) -> None:
        super().__init__()
        self.power = power

    def compare(self, estimates, references):
        return (estimates - references).abs().pow(self.power.exponent).mean(dim=(-2, -1))


@cache
def hum(pitch: int) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * pitch * np.arange(1000) / 1000, dtype=np.float32)[None]


class Hums(Corpus):
    layout = "hums"
    splits = ("train", "test")

    def __init__(self, pitches: list[int]) -> None:
        self.pitches = pitches

    def find(self, split: str) -> list[StemTrack]:
        return [self.clip(pitch) for pitch in self.pitches]

    def clip(self, pitch: int) -> StemTrack:
        stem = SynthesizedStem(f"{pitch} Hz", 1000, 1000, partial(hum, pitch))
        return StemTrack(str(pitch), {"hum": stem}, labels=(str(pitch),))


class Humming(ClipMixer):
    """A mixer in another module than its base class."""


class Inverted(Augmentation):
    def apply(self, references, rng):
        return -references


class Error(Metric):
    higher_is_better = False

    def __call__(self, references, estimates, mixture):
        return (estimates - references).abs().mean(dim=(-2, -1))


class Backwards(Sampler):
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, epoch: int, count: int):
        return range(self.seed, self.seed + count)[::-1]


class Counting(Callback):
    def __init__(self, file: str) -> None:
        self.file, self.steps = file, 0

    def on_train_batch_end(self, *args) -> None:
        self.steps += 1

    def on_train_end(self, trainer, task) -> None:
        with open(self.file, "w") as file:
            file.write(str(self.steps))

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]
'''


def recipe_values(module: str, counted: Path) -> dict:
    """A recipe in which every part is the stranger's."""
    return {
        "name": "hums",
        "separator": {
            "class_path": "FilterbankSeparator",
            "init_args": {
                "sources": ["low", "high"],
                "sample_rate": RATE,
                "filterbank": {
                    "class_path": "LearnedFilterbank",
                    "init_args": {"num_filters": 8, "kernel_size": 21, "num_sources": 2},
                },
                "network": {"class_path": f"{module}.Gates"},
            },
        },
        "data": {
            "train": {
                "class_path": f"{module}.Humming",
                "init_args": {
                    "corpus": {"class_path": f"{module}.Hums", "init_args": {"pitches": [50, 90, 130, 170]}},
                    "split": "train",
                    "duration": 0.4,
                    "augmentations": [{"class_path": f"{module}.Inverted"}],
                },
            },
            "valid": {"split": "test"},
            "test": {"hums": {"split": "test"}},
            "sampler": {"class_path": f"{module}.Backwards"},
            "batch_size": 2,
            "examples_per_epoch": 8,
            "valid_examples": 4,
            "test_examples": 2,
            "workers": 1,
        },
        "loss": {
            "class_path": f"{module}.Distance",
            "init_args": {"power": {"class_path": f"{module}.Power", "init_args": {"exponent": 2.0}}},
        },
        "metrics": {"error": {"class_path": f"{module}.Error"}},
        "monitor": "valid/error",
        "callbacks": [{"class_path": f"{module}.Counting", "init_args": {"file": str(counted)}}],
        "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}},
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "log_every_n_steps": 1},
        "seed": 3,
        "watch": {"tensorboard": False},
    }


def write(folder: Path, module: str, **changes: object) -> Path:
    """Write a stranger's file, and a recipe with some keys changed that names its classes."""
    (folder / f"{module}.py").write_text(MINE)
    recipe = folder / f"{module}.yaml"
    recipe.write_text(yaml.safe_dump({**recipe_values(module, folder / "steps"), **changes}))
    return recipe


def call(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, without a terminal, for a user with a home of their own."""
    command = [sys.executable, "-m", "soloist.cli.main", *map(str, arguments)]
    environment = {**os.environ, "SOLOIST_HOME": str(home), "COLUMNS": "160"}
    return subprocess.run(command, env=environment, cwd=home, input="", capture_output=True, text=True)


def called(*arguments: object, home: Path) -> str:
    """Run a command that succeeds, and give what it prints."""
    done = call(*arguments, home=home)
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(run: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv`, without what tells the time."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("others")


@pytest.fixture(scope="module")
def run(folder) -> Path:
    """The run of a recipe whose parts are those of a file that the command line names."""
    recipe = write(folder, "mine")
    called("train", recipe, "--import", folder / "mine.py", "-o", folder / "run", "-q", home=folder)
    return folder / "run"


@pytest.fixture
def model(run, tmp_path) -> Path:
    """The model of the run, handed on to somebody else."""
    return Path(shutil.copytree(run / "model", tmp_path / "model"))


@pytest.fixture
def tone(tmp_path) -> Path:
    soundfile.write(tmp_path / "tone.wav", 0.3 * np.sin(np.arange(2000) / 3), RATE)
    return tmp_path / "tone.wav"


@pytest.mark.slow
def test_a_recipe_of_parts_in_a_file_is_trained_and_the_file_is_kept(run, folder):
    assert (run / "imports" / "mine.py").read_text() == (run / "model" / "mine.py").read_text() == MINE
    assert sorted(path.name for path in (run / "model").iterdir()) == [
        "card.yaml",
        "config.yaml",
        "mine.py",
        "model.safetensors",
    ]
    assert (folder / "steps").read_text() == "8"
    errors = [float(row["valid/error"]) for row in figures(run) if row["valid/error"]]
    assert len(errors) == 2
    best = read_checkpoint(run / "checkpoints" / "last.ckpt")["callbacks"]["Checkpoints"]["best"]
    assert list(best.values()) == pytest.approx([min(errors)])
    shown = yaml.safe_load(called("runs", run, "--json", home=folder))
    assert shown[0]["best"] == pytest.approx(min(errors))
    assert shown[0]["lower_is_better"] is True


@pytest.mark.slow
def test_a_training_goes_on_without_the_file_to_the_same_end(run, folder, tmp_path):
    recipe = folder / "mine.yaml"
    given = ("--import", folder / "mine.py", "-q")
    called("train", recipe, "--trainer.max_epochs", 1, "-o", tmp_path / "run", *given, home=tmp_path)
    called("train", "--resume", tmp_path / "run", "--trainer.max_epochs", 2, "-q", home=tmp_path)
    assert figures(tmp_path / "run") == figures(run)
    weights = [(each / "model" / "model.safetensors").read_bytes() for each in (run, tmp_path / "run")]
    assert weights[0] == weights[1]
    assert (folder / "steps").read_text() == "8"


@pytest.mark.slow
def test_two_processes_train_with_the_imports_of_a_recipe(run, tmp_path):
    recipe = write(tmp_path, "mine", imports=["mine.py"], loss=recipe_values("mine", tmp_path)["loss"])
    two = ("--trainer.devices=2", "--trainer.strategy=ddp")
    called("train", recipe, "-o", tmp_path / "run", "-q", *two, home=tmp_path)
    losses = [[float(row["train/loss"]) for row in figures(each)] for each in (run, tmp_path / "run")]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.slow
def test_trials_of_a_sweep_are_trained_in_processes(tmp_path):
    values = {"method": "grid", "values": {"separator.network.filters": [8], "optimizer.lr": [0.01, 0.001]}}
    recipe = write(tmp_path, "mine", imports=["mine.py"], sweep=values, callbacks=[])
    shown = called("train", recipe, "--sweep", "--jobs", 2, "-o", tmp_path / "sweep", "-q", home=tmp_path)
    assert shown.count("done") == 2


@pytest.mark.slow
def test_code_runs_only_with_consent(model, tone, tmp_path):
    separate = ("separate", tone, "-m", model, "-q")
    refused = call(*separate, "-o", tmp_path / "refused", home=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"{model / 'mine.py'} (sha256" in refused.stderr
    assert "--trust" in refused.stderr
    assert not (tmp_path / "refused").exists()
    called(*separate, "--trust", "-o", tmp_path / "trusted", home=tmp_path)
    called(*separate, "--import", model / "mine.py", "-o", tmp_path / "imported", home=tmp_path)
    stems = [
        sorted(path.name for path in (tmp_path / name).rglob("*.wav")) for name in ("trusted", "imported")
    ]
    assert stems == [["high.wav", "low.wav"]] * 2
    # To trust a model once is no consent to the next time, and nothing is left beside its files.
    assert call(*separate, "-o", tmp_path / "again", home=tmp_path).returncode == 2
    assert len(list(model.iterdir())) == 4


ASKED = """
import sys
from soloist.config.imports import ask_with
from soloist import load
asked = []
ask_with(lambda question: not asked.append(question))
load(sys.argv[1])
assert len(asked) == 1 and "mine.py" in asked[0], asked
"""


@pytest.mark.slow
def test_consent_is_stored_for_the_contents_of_the_file(model, tone, tmp_path):
    environment = {**os.environ, "SOLOIST_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", ASKED, str(model)], env=environment, check=True)
    called("separate", tone, "-m", model, "-q", "-o", tmp_path / "out", home=tmp_path)
    with (model / "mine.py").open("a") as file:
        file.write("print('I am another')\n")
    separate = ("separate", tone, "-m", model, "-q", "-o", tmp_path / "changed")
    for options in ((), ("--trust",)):
        changed = call(*separate, *options, home=tmp_path)
        assert changed.returncode == 2
        assert "mine.py is not what the model was trained with" in changed.stderr
        assert changed.stdout == ""
        assert not (tmp_path / "changed").exists()
    # Consent to one file is none to another that its place is given to.
    config = yaml.safe_load((model / "config.yaml").read_text())
    config["imports"][0]["sha256"] = hashlib.sha256((model / "mine.py").read_bytes()).hexdigest()
    (model / "config.yaml").write_text(yaml.safe_dump(config))
    asked = call(*separate, home=tmp_path)
    assert asked.returncode == 2
    assert "if you trust it" in asked.stderr


@pytest.fixture
def tracks(tmp_path) -> Path:
    folder = tmp_path / "tracks" / "one"
    folder.mkdir(parents=True)
    time = np.arange(2 * RATE) / RATE
    stems = {"low": 0.3 * np.sin(100 * np.pi * time), "high": 0.3 * np.sin(300 * np.pi * time)}
    for name, audio in {**stems, "mixture": sum(stems.values())}.items():
        soundfile.write(folder / f"{name}.wav", audio, RATE, subtype="FLOAT")
    return tmp_path / "tracks"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            ("evaluate", "MODEL", "TRACKS", "-o", "results", "--listen", 0, "-q"), marks=pytest.mark.slow
        ),
        pytest.param(("visualize", "MODEL", "TONE", "-o", "visualized"), marks=pytest.mark.slow),
        pytest.param(("export", "MODEL", "--to", "torchscript", "-o", "exported"), marks=pytest.mark.slow),
        pytest.param(("tune", "MODEL", "-q", "--budget", 0.05), marks=pytest.mark.slow),
    ],
    ids=lambda command: command[0],
)
def test_commands_take_a_file_to_import(model, tone, tracks, tmp_path, command):
    places = {"MODEL": model, "TONE": tone, "TRACKS": tracks}
    arguments = [places.get(part, part) for part in command]
    refused = call(*arguments, home=tmp_path)
    assert "--trust" in refused.stderr
    assert refused.returncode in (1, 2)
    called(*arguments, "--import", model / "mine.py", home=tmp_path)


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Write the stranger's file under a name that this process does not know yet, and a recipe."""
    written = []

    def make(**changes: object) -> tuple[str, Path]:
        module = f"parts_{os.getpid()}_{len(imports._imported)}"
        written.append(module)
        return module, write(tmp_path, module, imports=[f"{module}.py"], **changes)

    yield make
    for module in written:
        sys.modules.pop(module, None)


def test_parts_of_other_modules_inherit_from_the_recipe(parts):
    recipe = read_recipe(parts()[1])
    mixer = recipe.build(recipe.data.train, Mixer)
    assert (mixer.sources, mixer.sample_rate, mixer.seed) == (("low", "high"), RATE, 3)
    assert recipe.resolve(recipe.data.sampler)["init_args"] == {"seed": 3}


@pytest.mark.slow
def test_processes_that_are_started_know_the_classes_of_the_file_and_nothing_beside_it(parts, tmp_path):
    (tmp_path / "beside_it.py").write_text("raise SystemExit('executed')")
    module, recipe = parts()
    separator = read_recipe(recipe).build_separator()
    (tmp_path / f"{module}.py").write_text("raise SystemExit('changed since')")
    with Processes(1) as pool:
        assert pool.submit(type, separator.network).result() is type(separator.network)
        with pytest.raises(ModuleNotFoundError):
            pool.submit(pickle.loads, b"cbeside_it\nClass\n.").result()


def test_what_is_kept_is_what_was_imported_whatever_the_file_holds_by_now(parts, tmp_path):
    module, recipe = parts(callbacks=[])
    read = read_recipe(recipe)
    (tmp_path / f"{module}.py").write_text("changed = True")
    train(read, tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "imports" / f"{module}.py").read_text() == MINE
    load(tmp_path / "run")


def test_an_installed_package_needs_no_import(tmp_path, monkeypatch):
    (tmp_path / "hum_package").mkdir()
    (tmp_path / "hum_package" / "__init__.py").write_text("")
    (tmp_path / "hum_package" / "parts.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = tmp_path / "hums.yaml"
    recipe.write_text(yaml.safe_dump(recipe_values("hum_package.parts", tmp_path / "steps")))
    train(read_recipe(recipe), tmp_path / "run", quiet=True)
    config = yaml.safe_load((tmp_path / "run" / "model" / "config.yaml").read_text())
    assert config["imports"] == [{"module": "hum_package.parts"}]
    load(tmp_path / "run")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("separator.network", "MODULE.Gate", "MODULE has no class 'Gate'; did you mean 'Gates'?"),
        ("separator.network", "Gatess", "there is no class Gatess; did you mean MODULE.Gates?"),
        ("separator.network", "SuDoRMF", "did you mean soloist.networks.SuDoRMRF?"),
        ("loss", "MODULEx.Distance", "did you mean 'MODULE'?"),
        ("separator.network", "MODULE.Power", "network"),
        ("loss", "MODULE.Gates", "MODULE.Gates is not a loss: derive it from soloist.losses.Loss"),
        ("metrics.error", "MODULE.Power", "is not a metric: derive it from soloist.metrics.Metric"),
        ("data.sampler", "MODULE.Power", "is not a sampler: derive it from soloist.training.Sampler"),
        ("callbacks", "MODULE.Power", "is not a callback: derive it from lightning.pytorch.callbacks"),
        ("metrics.sdr", "MODULE.Error", "every validation has 'sdr'; give another name"),
        ("metrics.an error", "MODULE.Error", "'an error' must be letters, digits, - and _"),
        ("monitor", "valid/eror", "did you mean 'valid/error'?"),
        ("callbacks", "a list", "callbacks must be a list, not {"),
        ("metrics", "names", "each of metrics must be names and values, not 'MODULE.Error'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_before_anything_is_trained(parts, tmp_path, key, value, message):
    module, path = parts()
    values = yaml.safe_load(path.read_text())
    value, message = (text.replace("MODULE", module) for text in (value, message))
    part = {"class_path": value}
    if value == "a list":
        values["callbacks"] = values["callbacks"][0]
    elif value == "names":
        values["metrics"] = {"error": f"{module}.Error"}
    elif key == "callbacks":
        values["callbacks"] = [part]
    elif key == "monitor":
        values["monitor"] = value
    elif key == "separator.network":
        values["separator"]["init_args"]["network"] = part
    elif "." in key:
        section, name = key.split(".")
        values[section][name] = part
    else:
        values[key] = part
    path.write_text(yaml.safe_dump(values))
    with pytest.raises((ConfigError, UsageError)) as told:
        train(read_recipe(path), tmp_path / "run", quiet=True)
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


WRONG = {
    "a loss that returns one number": (
        "(estimates - references).abs().pow(self.power.exponent).mean(dim=(-2, -1))",
        "estimates.sum(dim=(1, 2, 3))[0]",
        "",
    ),
    "a metric of another shape": (
        "return (estimates - references).abs().mean(dim=(-2, -1))\n\n\nclass Backwards",
        "return 1.0\n\n\nclass Backwards",
        "error must be a tensor (batch, sources) (1, 2), not float",
    ),
    "a sampler that gives too few": ("self.seed + count)", "count)", "must give 8 whole numbers"),
    "a network that fails": ("torch.sigmoid", "torch.sigmoyd", "cannot be trained as it stands"),
    "a file that fails": ("import numpy as np", "import numby as np", "No module named 'numby'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_code_that_does_not_do_what_it_should_is_told_in_one_line(parts, tmp_path, case):
    module, path = parts()
    before, after, message = WRONG[case]
    assert before in MINE
    (tmp_path / f"{module}.py").write_text(MINE.replace(before, after, 1))
    with pytest.raises((ConfigError, UsageError)) as told:
        train(read_recipe(path), tmp_path / "run", quiet=True)
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_another_file_of_the_same_name_is_refused(parts, tmp_path):
    module, path = parts()
    read_recipe(path)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / f"{module}.py"
    other.write_text(MINE + "\n")
    with pytest.raises(ConfigError, match="was imported under the same name and differs; rename the file"):
        imports.import_code(str(other))
    (tmp_path / "torch.py").write_text("")
    with pytest.raises(ConfigError, match="there is another module torch; rename the file"):
        imports.import_code(str(tmp_path / "torch.py"))
