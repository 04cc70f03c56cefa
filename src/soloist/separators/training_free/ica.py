"""Independent component analysis of the channels."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soloist.errors import UsageError
from soloist.resources import import_extra
from soloist.separators.separator import Separator
from soloist.separators.training_free.mask_separator import numbered_sources

_LEAST_SHARE = 1e-10
"""Share of the power below which a principal component is a rounding error."""


class ICA(Separator):
    """Undoes an instantaneous mixture of as many sources as channels by making them independent [1].

    The model of each channel is a weighted sum of the same sources, without delays and echoes: a mixing desk,
    not a room. FastICA finds the weights that make the sources least Gaussian. An estimate is the image of a
    source in each channel, with a defined scale and sign; all add up to the mixture. Linearly dependent
    channels have fewer sources, and the others are silent.

    Each chunk of a file has weights of its own; the sources are matched to the chunk before. Needs
    scikit-learn.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture, at least two, and number of the sources.
        iterations: Most iterations.
        tolerance: Change of the weights at which to stop.
        seed: Seed of the initial weights.

    Raises:
        UsageError: Only one channel, or scikit-learn is not installed.

    References:
        [1] A. Hyvärinen and E. Oja, "Independent component analysis: algorithms and applications", Neural
        Networks 13(4-5), 2000.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        iterations: int = 200,
        tolerance: float = 1e-4,
        seed: int = 0,
    ) -> None:
        if channels < 2:
            raise UsageError(
                "ICA finds as many sources as there are channels, and this mixture has one: give it a "
                "recording with a channel for each source, or take another model"
            )
        super().__init__(
            sources=numbered_sources(channels), sample_rate=sample_rate, channels=channels, ordered=False
        )
        if iterations < 1 or not tolerance > 0:
            raise UsageError("ICA needs at least 1 iteration and a tolerance above 0")
        import_extra("sklearn", "factorization")
        self.iterations = iterations
        self.tolerance = tolerance
        self.seed = seed

    @property
    def chunk_length(self) -> int:
        """Half a minute: long enough to hear each source."""
        return 30 * self.sample_rate

    def estimate(self, mixture: Tensor) -> Tensor:
        """Separate a mixture `(batch, channels, samples)` into `(batch, channels, channels, samples)`."""
        estimates = [self._separate(item) for item in mixture.detach().double().cpu().numpy()]
        return torch.from_numpy(np.stack(estimates)).to(mixture)

    def _separate(self, mixture: NDArray[np.float64]) -> NDArray[np.float64]:
        """Image of each source in each channel, `(sources, channels, samples)`."""
        centred = mixture - mixture.mean(axis=1, keepdims=True)
        powers, axes = np.linalg.eigh(centred @ centred.T)
        # The last ones are the strongest.
        rank = int((powers > _LEAST_SHARE * powers.sum()).sum())
        estimates = np.zeros((len(mixture), *mixture.shape))
        if rank < 2 or mixture.shape[1] <= rank:
            estimates[0] = mixture
            return estimates
        principal = axes[:, -rank:]
        unmixing = self._unmix(principal.T @ centred)
        mixing = principal @ np.linalg.inv(unmixing)
        sources = unmixing @ (principal.T @ mixture)
        estimates[:rank] = mixing.T[:, :, None] * sources[:, None]
        estimates[0] += mixture - estimates.sum(axis=0)
        return estimates

    def _unmix(self, components: NDArray[np.float64]) -> NDArray[np.float64]:
        """The square matrix that makes `(components, samples)` independent."""
        decomposition = import_extra("sklearn.decomposition", "factorization")
        exceptions = import_extra("sklearn.exceptions", "factorization")
        ica = decomposition.FastICA(
            whiten="unit-variance", max_iter=self.iterations, tol=self.tolerance, random_state=self.seed
        )
        with warnings.catch_warnings():
            # Noise has no independent components: any result is as good as another.
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            ica.fit(components.T)
        return np.asarray(ica.components_)
