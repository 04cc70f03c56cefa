"""Parts of others as a recipe names them: what they inherit, what is kept, what is wrong with them."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest
import yaml

from soloist.config import imports
from soloist.errors import ConfigError, UsageError
from soloist.mixing import Mixer
from soloist.resources import Processes
from soloist.training import read_recipe, train
from soloist.zoo import load
from strangers import MINE, RATE, recipe_values, write


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
