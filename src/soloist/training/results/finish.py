"""End of a training: a model folder with its card, and the figures of the tests."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from soloist import __version__
from soloist.errors import TrainingError
from soloist.separators import Separator
from soloist.training.loop.callbacks import UnreadableFiles
from soloist.training.loop.checkpoints import LAST, best_checkpoint, read_checkpoint, separator_state
from soloist.training.loop.fine_tuning import add_adapters, merge_adapters
from soloist.training.loop.task import ANEW
from soloist.training.recipe.recipe import Recipe
from soloist.training.results.run_folder import RunFolder
from soloist.training.results.testing import Advance, TestSet, card_quality, run_tests, write_results
from soloist.training.watch.throughput import Timing
from soloist.zoo import card_of, save_model
from soloist.zoo.cards import is_known


def finish(
    recipe: Recipe,
    run: RunFolder,
    *,
    device: str = "auto",
    advance: Advance | None = None,
) -> list[TestSet]:
    """Save the best state of a run as a model, test it, and write the results.

    The model is written before the tests, so that no failure of a test loses it.

    Args:
        recipe: Recipe of the run, with the test sets.
        run: Folder of the run.
        device: Device of the tests: "auto", "cpu", "cuda", ...
        advance: Callback after each test example.

    Raises:
        TrainingError: The run has no checkpoint yet.
        ModelError: The model cannot be written.
        SoloistError: A test set cannot be read.
    """
    separator = best_separator(recipe, run)
    about = describe_training(recipe, run)
    card = _card(recipe, about)
    save_model(separator, recipe.separator, card, run.model, overwrite=True)
    tests = run_tests(separator, recipe, device=device, advance=advance)
    card["quality"] = [*card.get("quality", []), *(asdict(figure) for figure in card_quality(tests))]
    save_model(separator, recipe.separator, card, run.model, overwrite=True)
    write_results(run.results, tests, about)
    return tests


def best_separator(recipe: Recipe, run: RunFolder) -> Separator:
    """Build the separator of a run with the weights of the best state.

    Raises:
        TrainingError: The run has no checkpoint yet, or one of another separator.
    """
    path = best_checkpoint(run.checkpoints)
    separator = recipe.build_separator()
    if recipe.adapters is not None:
        add_adapters(separator, recipe.adapters, read_checkpoint(path).get(ANEW, []))
    try:
        separator.load_state_dict(separator_state(path))
    except RuntimeError as error:
        raise TrainingError(f"{path} has weights of another separator than the recipe's") from error
    if recipe.adapters is not None:
        merge_adapters(separator)
    return separator.eval()


def describe_training(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    """Describe a training in plain values: steps, time, unreadable files."""
    last = read_checkpoint(run.checkpoints / LAST)
    callbacks = last["callbacks"]
    seconds = callbacks.get(Timing.__qualname__, {}).get("elapsed", 0.0)
    return {
        "recipe": recipe.name,
        "checkpoint": best_checkpoint(run.checkpoints).name,
        "epochs": last["loops"]["fit_loop"]["epoch_progress"]["total"]["processed"],
        "steps": last["global_step"],
        "seconds": round(seconds, 1),
        "skipped": callbacks[UnreadableFiles.__qualname__]["files"],
    }


def _card(recipe: Recipe, about: dict[str, Any]) -> dict[str, Any]:
    """Card of the recipe, with notes on the training."""
    duration = timedelta(seconds=round(about["seconds"]))
    trained = (
        f"Trained for {about['epochs']} epochs ({about['steps']} steps) in {duration} "
        f"by Soloist {__version__} with the recipe {recipe.name}."
    )
    if recipe.from_ is not None:
        origin = card_of(recipe.from_) if is_known(recipe.from_) else None
        licence = f", whose weights are under {origin.licence.weights}" if origin is not None else ""
        trained += f" Its weights began from those of {Path(recipe.from_).name}{licence}."
    notes = " ".join(filter(None, [recipe.card.get("notes", ""), trained]))
    return {"name": recipe.name, **recipe.card, "notes": notes}
