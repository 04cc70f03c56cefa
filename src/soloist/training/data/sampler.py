"""Samplers: which examples an epoch draws, and in which order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soloist.errors import ConfigError
from soloist.mixing import Example, Mixer
from soloist.mixing.example import arguments_of
from soloist.training.data.curriculum import Curriculum


class Sampler(ABC):
    """Chooses the examples of each epoch; a recipe names such a class under `data.sampler`.

    The choice must be a function of the arguments and of the class's own arguments, such as a `seed`, which
    is the recipe's unless stated: every process makes it, and a resumed training makes it again.
    """

    @abstractmethod
    def __call__(self, epoch: int, count: int) -> Sequence[int]:
        """Give the numbers of an epoch's examples, in the order in which batches take them.

        Args:
            epoch: Number of the epoch, from 0 on.
            count: Examples of the epoch.

        Returns:
            `count` numbers from 0 on, as `Mixer.draw` takes them; a number may occur more than once.
        """


class SampledMixer(Mixer):
    """Draws, for each place in a training, the example that a sampler chooses.

    Args:
        mixer: Draws the examples.
        sampler: Chooses them.
        curriculum: Says to which epoch a place belongs.
        places: Number of places; place `n + k * places` replaces an example of place `n` that cannot be read.
        examples: Number of examples to choose from.
    """

    def __init__(
        self, mixer: Mixer, sampler: Sampler, curriculum: Curriculum, places: int, examples: int
    ) -> None:
        super().__init__(**arguments_of(mixer))
        self.mixer = mixer
        self.sampler = sampler
        self.curriculum = curriculum
        self.places = places
        self.examples = examples
        self._epoch: int | None = None
        self._numbers: NDArray[np.integer] = np.empty(0, int)

    def __len__(self) -> int:
        return len(self.mixer)

    def draw(self, index: int) -> Example:
        """Draw the example of place `index` in the training; see `Mixer.draw`.

        Raises:
            ConfigError: The sampler gives something else than the numbers asked for.
        """
        attempt, place = divmod(index, self.places)
        epoch, examples = self.curriculum.epoch(place)
        if epoch != self._epoch:
            self._epoch, self._numbers = epoch, self._choose(epoch, len(examples))
        return self.mixer.draw(int(self._numbers[place - examples.start]) + attempt * self.places)

    def _choose(self, epoch: int, count: int) -> NDArray[np.integer]:
        numbers = np.asarray(self.sampler(epoch, count))
        whole = numbers.shape == (count,) and np.issubdtype(numbers.dtype, np.integer)
        if not whole or numbers.min() < 0 or numbers.max() >= self.examples:
            raise ConfigError(
                f"data.sampler: {type(self.sampler).__name__} must give {count} whole numbers from 0 to "
                f"{self.examples - 1} for epoch {epoch}, not {' '.join(str(numbers).split())}"
            )
        return numbers
