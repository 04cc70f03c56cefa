"""Pipeline of an experiment, from its recipe to tables and pictures, each stage once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from soloist.config import import_code
from soloist.errors import Interrupted, UsageError
from soloist.files import expand_home
from soloist.training.experiment.experiment import Experiment
from soloist.training.experiment.ledger import Files, Inputs, Ledger
from soloist.training.loop.callbacks import is_first_process
from soloist.training.recipe.recipe import Recipe, Stage
from soloist.training.results.run_comparison import flatten

STAGES: tuple[Stage, ...] = get_args(Stage)

Tell = Callable[[Stage, str], None]
"""Callback that receives a stage, and its reason to run or to be skipped."""

_UPSTREAM: dict[Stage, tuple[Stage, ...]] = {
    "prepare": (),
    "train": (),
    "evaluate": ("train",),
    "visualize": ("train",),
    "analyze": ("train", "evaluate"),
}

_TESTS = ("data.test", "data.test_examples", "card")
_SHOWN = ("watch", "data.workers", "stages")
"""Keys that change no result."""

_IGNORED: dict[Stage, tuple[str, ...]] = {
    "prepare": ("card", *_SHOWN),
    "train": (*_TESTS, "data.cache.folder", *_SHOWN),
    "evaluate": _SHOWN,
    "visualize": ("data.workers", "stages", "card"),
    "analyze": _SHOWN,
}
"""Keys of the recipe that a stage ignores."""

_LENGTHS = ("trainer.max_epochs", "trainer.max_steps")
_TRIALS = ("sweep.trials",)
"""Keys that a training, or a sweep, may raise and go on."""


def run_experiment(
    experiment: Experiment, tell: Tell, *, stages: Collection[Stage] = (), force: Collection[Stage] = ()
) -> None:
    """Do the stages of an experiment that are due.

    A stage is done if its files are unchanged, and so are the values of the recipe and the results of other
    stages that the stage depends on. A killed training goes on.

    Args:
        experiment: Recipe and folder.
        tell: Callback before each stage.
        stages: Stages to do; none for the recipe's.
        force: Stages to do again from the beginning.

    Raises:
        UsageError: There is something else in the folder, a stage is forced that is left out, or one needs
            another that has not been done.
        SoloistError: A stage cannot be done.
        Interrupted: Somebody pressed Ctrl-C.
    """
    chosen = stages or experiment.recipe.stages or STAGES
    if outside := [stage for stage in force if stage not in chosen]:
        there = ", ".join(chosen)
        raise UsageError(f"the stage {outside[0]} is left out, so it cannot be forced: there are {there}")
    try:
        if not is_first_process():
            # Of several processes that train together only the first does all the rest.
            experiment.train(resume=True)
            return
        _check_folder(experiment.folder)
        ledger = Ledger(experiment.folder)
        for stage in (stage for stage in STAGES if stage in chosen):
            if reason := _nothing_to_do(stage, experiment.recipe):
                tell(stage, f"skipped: {reason}")
            else:
                _do_if_due(stage, experiment, ledger, tell, forced=stage in force)
    except (Interrupted, KeyboardInterrupt) as stop:
        raise Interrupted("interrupted; the same command goes on") from stop


def _do_if_due(stage: Stage, experiment: Experiment, ledger: Ledger, tell: Tell, *, forced: bool) -> None:
    inputs = _inputs(stage, experiment.recipe, ledger)
    reason = "forced" if forced else ledger.why_not_done(stage, inputs)
    if reason is None:
        tell(stage, "skipped: done, and nothing it depends on has changed")
        return
    tell(stage, reason)
    resume = not forced and _goes_on(stage, inputs, ledger)
    if stage == "train" and not resume:
        # Before it is noted that another training is begun: that must never go on with this one.
        experiment.clear()
    ledger.begin(stage, inputs)
    outputs = _do(stage, experiment, resume=resume)
    ledger.finish(stage, inputs, outputs)


def _do(stage: Stage, experiment: Experiment, *, resume: bool) -> list[Path]:
    if stage == "train":
        return experiment.train(resume=resume)
    work: dict[Stage, Callable[[], list[Path]]] = {
        "prepare": experiment.prepare,
        "evaluate": experiment.evaluate,
        "visualize": experiment.visualize,
        "analyze": experiment.analyze,
    }
    return work[stage]()


def _inputs(stage: Stage, recipe: Recipe, ledger: Ledger) -> Inputs:
    """Collect the inputs of a stage from the recipe and the ledger."""
    values = recipe.to_dict()
    # By their contents, wherever they lie.
    values["imports"] = [import_code(name).to_dict() for name in recipe.imports]
    if recipe.data.root is not None:
        values["data"]["root"] = str(expand_home(recipe.data.root).absolute())
    ignored = _IGNORED[stage]
    matters = {
        key: _plain(value)
        for key, value in flatten(values).items()
        if not any(key == name or key.startswith(f"{name}.") for name in ignored)
    }
    upstream: dict[str, Files] = {}
    for name in _UPSTREAM[stage]:
        record = ledger.read(name)
        upstream[name] = (record.outputs or {}) if record is not None else {}
    return Inputs(matters, upstream)


def _goes_on(stage: Stage, inputs: Inputs, ledger: Ledger) -> bool:
    """Tell whether the training in the folder is the same one, or a shorter one."""
    record = ledger.read(stage)
    if record is None:
        return False
    before, now = record.inputs.recipe, inputs.recipe
    growing = _TRIALS if any(key.startswith("sweep.") for key in now) else _LENGTHS
    return all(
        key in growing and _grows(before.get(key), now.get(key)) for key in record.inputs.changes(inputs)
    )


def _grows(before: Any, now: Any) -> bool:
    return isinstance(before, int) and isinstance(now, int) and 0 < before < now


def _nothing_to_do(stage: Stage, recipe: Recipe) -> str | None:
    if stage == "evaluate" and not recipe.data.test:
        return "the recipe has no test sets"
    if stage == "visualize" and not recipe.data.test and recipe.data.valid is None:
        return "the recipe has no test and no validation examples"
    if stage == "visualize" and not recipe.watch.examples:
        return "watch.examples is 0"
    return None


def _check_folder(folder: Path) -> None:
    ours = Ledger(folder).path
    if folder.exists() and not ours.is_dir() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something else than an experiment: choose another folder (-o)")


def _plain(value: Any) -> Any:
    """Convert a value to the types of JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
