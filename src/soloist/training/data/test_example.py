"""An example of what a recipe is tested on, to look at."""

from __future__ import annotations

from soloist.errors import UsageError
from soloist.inspection import Excerpt
from soloist.mixing import Mixer
from soloist.training.data.batches import ExampleDataset
from soloist.training.recipe.recipe import Recipe


def draw_excerpt(recipe: Recipe, number: int = 0, *, start: float = 0.0, duration: float = 10.0) -> Excerpt:
    """An example of the first test set of a recipe or, where there is none, of its validation.

    Args:
        recipe: Says what it is tested on.
        number: Which example, from 0 on.
        start: Where in the example to begin, s.
        duration: How much of it, s.

    Raises:
        UsageError: The recipe is not tested on anything, or the example is over before `start`.
        SoloistError: It cannot be read.
    """
    data = recipe.data
    part = next(iter(data.test.values()), data.valid)
    if part is None:
        raise UsageError(f"the recipe {recipe.name} has no test and no validation examples: name a file")
    mixer: Mixer = recipe.build(data.mixer(part), Mixer)
    example, _ = ExampleDataset(mixer)[number]
    rate = mixer.sample_rate
    first, last = round(start * rate), round((start + duration) * rate)
    if first >= example.mixture.shape[-1]:
        raise UsageError(f"example {number} of {recipe.name} ends before {start:g} s")
    references = dict(zip(mixer.sources, example.references[..., first:last], strict=True))
    return Excerpt(example.name, example.mixture[:, first:last], rate, references)
