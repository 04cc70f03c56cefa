"""What comes of a training: a model folder, its figures, and a card that says both."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from soloist import __version__
from soloist.errors import TrainingError
from soloist.separators import Separator
from soloist.training.loop.callbacks import UnreadableFiles
from soloist.training.loop.checkpoints import LAST, best_checkpoint, read_checkpoint, separator_state
from soloist.training.recipe.recipe import Recipe
from soloist.training.results.run_folder import RunFolder
from soloist.training.results.testing import Advance, TestSet, card_quality, run_tests, write_results
from soloist.training.watch.throughput import Timing
from soloist.zoo import save_model


def finish(
    recipe: Recipe,
    run: RunFolder,
    *,
    device: str = "auto",
    advance: Advance | None = None,
) -> list[TestSet]:
    """Make a model of a run's best state, test it, and write what came out.

    The model is written before it is tested: whatever happens then, it is there.

    Args:
        recipe: What was trained; its test sets are used.
        run: The folder of the run.
        device: Where to test: "auto", "cpu", "cuda", ...
        advance: Told after each test example.

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
    """The separator of a run with the weights of its best state.

    Raises:
        TrainingError: The run has no checkpoint yet, or it is of another separator.
    """
    path = best_checkpoint(run.checkpoints)
    separator = recipe.build_separator()
    try:
        separator.load_state_dict(separator_state(path))
    except RuntimeError as error:
        raise TrainingError(f"{path} has weights of another separator than the recipe's") from error
    return separator.eval()


def describe_training(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    """What is known about a training, in plain values: how long, how many steps, what could not be read."""
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
    """The recipe's card, with what the training adds to it."""
    duration = timedelta(seconds=round(about["seconds"]))
    trained = (
        f"Trained for {about['epochs']} epochs ({about['steps']} steps) in {duration} "
        f"by Soloist {__version__} with the recipe {recipe.name}."
    )
    notes = " ".join(filter(None, [recipe.card.get("notes", ""), trained]))
    return {"name": recipe.name, **recipe.card, "notes": notes}
