"""Every shipped recipe: its keys are read, it makes a step on its corpus, and its network can learn."""

from __future__ import annotations

import pytest
import torch

from corpus_trees import TREES
from soloist.errors import ConfigError
from soloist.mixing import Mixer
from soloist.training import RECIPES, Recipe, SeparationTask, make_trainer, read_recipe
from soloist.training.data.batches import collate

SHIPPED = sorted(path.stem for path in RECIPES.glob("*.yaml"))
TINY = [name for name in SHIPPED if name.startswith("tiny-") and name not in TREES]


LARGE = {
    "mdxnet-musdb18hq",
    "chimera-wsj0-2mix",
    "mask-inference-wsj0-2mix",
    "spectrogram-net-musdb18",
    "sudormrf-esc50",
    "tfc-tdf-large-musdb18",
}
"""Recipes of whose networks smaller ones, or others on the same corpus, are in every run."""

NIGHTLY = {"bs-roformer-musdb18hq", "htdemucs-musdb18hq", "mel-roformer-musdb18hq", "mdx23c-musdb18hq"}
"""Recipes of which a step takes longest, and whose networks are in every run of the slow tests."""

FALLS = {"PermutationInvariant": 3.0, "MultiDomain": 0.3}
"""By how much losses that are ratios, in dB or weighted, fall in 40 steps; distances are halved."""


def _brief(mixer: Mixer, seconds: float = 0.1) -> Mixer:
    """A mixer whose examples are short, so that large networks take no time."""
    mixer.duration = seconds
    return mixer


def _batch(mixer: Mixer, size: int = 2):
    return collate([(mixer.draw(index), []) for index in range(size)])


def _step(task: SeparationTask, batch, optimizer) -> float:
    references, mixture = batch.references, batch.mixture
    if task.remix is not None:
        references = task.remix(references, 0)
        mixture = references.sum(dim=1)
    loss = task.loss(task.separator.predict(mixture), references).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The tree of a recipe's corpus; recipes on the same one share it."""
    written = {}

    def find(name: str):
        write = TREES[name]
        if write not in written:
            written[write] = tmp_path_factory.mktemp(write.__name__)
            write(written[write])
        return written[write]

    return find


@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_says_what_it_is_and_how_to_use_it(name):
    text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    comment = text[: text.index("separator:")]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert f"soloist train {name}" in comment
    assert "Corpus:" in comment or "nothing is downloaded" in comment


@pytest.mark.parametrize("name", SHIPPED)
def test_everything_but_the_data_is_read(name, tmp_path):
    """The network is built without memory; the trainer, the loss, the optimizer and the schedule for real."""
    recipe = read_recipe(name)
    with torch.device("meta"):
        task = SeparationTask(recipe)
    assert task.separator.sources == tuple(recipe.separator["init_args"]["sources"])
    optimizers, schedulers = task.configure_optimizers()
    assert len(optimizers) == 1
    assert len(schedulers) == (recipe.scheduler is not None) + (recipe.warmup > 0)
    trainer = make_trainer(recipe, tmp_path, quiet=True)
    assert trainer.max_epochs == recipe.trainer["max_epochs"]


@pytest.mark.parametrize(
    "name",
    [
        *sorted(TREES.keys() - LARGE - NIGHTLY),
        *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(LARGE)),
        *(pytest.param(name, marks=[pytest.mark.slow, pytest.mark.nightly]) for name in sorted(NIGHTLY)),
    ],
)
def test_a_recipe_makes_a_step_on_its_corpus(name, tree):
    recipe = read_recipe(name, [("data.root", str(tree(name)))])
    data = recipe.data
    task = SeparationTask(recipe)
    optimizer = task.configure_optimizers()[0][0]
    batch = _batch(_brief(recipe.build(data.train, Mixer)))
    before = [parameter.detach().clone() for parameter in task.separator.parameters()]
    assert torch.isfinite(torch.tensor(_step(task, batch, optimizer)))
    moved = [bool((old != new).any()) for old, new in zip(before, task.separator.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)
    for part in (data.valid, *data.test.values()):
        mixer = _brief(recipe.build(data.mixer(part), Mixer))
        # Their excerpts may be longer.
        assert mixer.draw(0).references.shape[:2] == batch.references.shape[1:3]


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_a_tiny_recipe_learns_its_first_batch_by_heart(name):
    recipe = read_recipe(name)
    mixer = _brief(recipe.build(recipe.data.train, Mixer), seconds=0.25)
    torch.manual_seed(0)
    task = SeparationTask(recipe)
    optimizer = task.configure_optimizers()[0][0]
    batch = _batch(mixer)
    first = _step(task, batch, optimizer)
    wanted = first - FALLS.get(recipe.loss["class_path"].rpartition(".")[2], first / 2)
    # Most are there after a few steps.
    assert any(_step(task, batch, optimizer) < wanted for _ in range(39))


def test_a_recipe_for_a_corpus_asks_for_its_folder():
    recipe = read_recipe("sudormrf-wham")
    with pytest.raises(ConfigError, match=r"--data\.root PATH"):
        recipe.build(recipe.data.train, Mixer)


def test_the_tree_of_every_recipe_is_known():
    """A recipe without a tree needs no corpus."""
    for name in set(SHIPPED) - set(TREES):
        recipe = read_recipe(name)
        assert isinstance(recipe, Recipe)
        assert len(recipe.build(recipe.data.train, Mixer)) > 0
