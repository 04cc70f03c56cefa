"""PROJET: sources by projections of the mixture on directions of the stereo image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.training_free.nmf import divergence_gradients
from soloist.separators.training_free.stereo import StereoSeparator
from soloist.transforms import Window

_GROUP = 2**18
"""Values in a block: few enough for the cache, which is twice as fast."""
_TURNS = 2
"""Searches for the initial place of each source, given the places of the others."""
_ELSEWHERE = 1e-3
"""Initial share of a source at each other place."""


class Projet(StereoSeparator):
    """Models the projections of a stereo mixture on many directions by sources at many places [1, 2].

    Each direction cancels one place of the stereo image. The model of the magnitude of a projection is a sum
    over sources: the magnitude of the source at a time and frequency, times the gain of the source's places
    in that direction. Multiplicative updates find both; the sources share the projections in proportion to
    the model, and the shares are brought back to channels. The updates begin with each source at the one
    place that explains most of the mixture together with the others: random places cannot separate sources
    that differ in delay alone. The estimates add up to the mixture. There may be more sources than channels,
    and a source may lie at several places, or be wide.

    Time and memory grow with the number of projections. Each chunk of a file has a model of its own; the
    sources are matched to the chunk before.

    Args:
        num_sources: Number of sources.
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture: two.
        n_fft: Length of the window, samples; None for the power of two nearest to 64 ms.
        hop_length: Distance of the frames, samples; None for a quarter of the window.
        window: Name of the window.
        places: Number of levels, from the first channel to the second, and of delays of the places of
            sources. A single level is equal in both channels.
        projections: Number of levels and of delays of the directions of projection.
        max_delay: Largest delay of a place or direction in either sense, samples.
        iterations: Updates.
        beta: Order of the minimised divergence between projections and model: 2 is the squared distance, 1
            Kullback and Leibler's divergence, 0 Itakura and Saito's.
        alpha: Exponent of the magnitudes in the sum over sources.

    References:
        [1] D. FitzGerald, A. Liutkus and R. Badeau, "PROJET: spatial audio separation using projections",
        ICASSP 2016.
        [2] D. FitzGerald, A. Liutkus and R. Badeau, "Projection-based demixing of spatial audio", IEEE/ACM
        TASLP 24(9), 2016.
    """

    def __init__(
        self,
        num_sources: int = 2,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        places: tuple[int, int] = (30, 1),
        projections: tuple[int, int] = (10, 1),
        max_delay: float = 0.0,
        iterations: int = 50,
        beta: float = 1.0,
        alpha: float = 1.0,
    ) -> None:
        super().__init__(
            num_sources,
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length,
            window=window,
        )
        if min(*places, *projections, iterations) < 1 or projections[0] < 2:
            raise UsageError("PROJET needs places, at least 2 projections, and at least 1 iteration")
        if max_delay < 0 or not alpha > 0:
            raise UsageError("PROJET needs a max_delay that is not negative, and an alpha above 0")
        self.places = places
        self.projections = projections
        self.max_delay = max_delay
        self.iterations = iterations
        self.beta = beta
        self.alpha = alpha

    @property
    def chunk_length(self) -> int:
        """A quarter of a minute: some ten megabytes a projection."""
        return 15 * self.sample_rate

    def estimate(self, mixture: Tensor) -> Tensor:
        """Separate a mixture `(batch, 2, samples)` into `(batch, sources, 2, samples)`."""
        spectra = torch.stack([self._separate(item) for item in self.stft(mixture)])
        return self.synthesize(spectra.unbind(1), mixture.shape[-1])

    def _separate(self, spectrum: Tensor) -> Tensor:
        """Spectra `(sources, 2, frequency, frames)` of one mixture `(2, frequency, frames)`."""
        level = spectrum.abs().square().mean().sqrt().clamp(min=torch.finfo(spectrum.real.dtype).tiny)
        mixture = rearrange(spectrum / level, "c f t -> f c t")
        blocks = list(self._blocks(mixture))
        magnitudes, places = self._begin(mixture)
        for _ in range(self.iterations):
            places = self._update(blocks, magnitudes, places)
        estimates = [block.share(mixture[block.bins], magnitudes[block.bins], places) for block in blocks]
        return rearrange(torch.cat(estimates), "f s c t -> s c f t") * level

    def _begin(self, mixture: Tensor) -> tuple[Tensor, Tensor]:
        """Initial magnitudes `(frequency, sources, frames)` and places `(places, sources)`."""
        frequency, _, frames = mixture.shape
        count = len(self.sources)
        magnitudes = mixture.real.new_ones(frequency, count, frames)
        places = magnitudes.new_full((self.places[0] * self.places[1], count), _ELSEWHERE)
        chosen: list[int] = []
        for _ in range(_TURNS * count):
            others = chosen[1:] if len(chosen) == count else chosen
            chosen = [*others, int(self._explain(mixture, others).argmax())]
        places[chosen, range(count)] = 1.0
        return magnitudes, places

    def _explain(self, mixture: Tensor, others: list[int]) -> Tensor:
        """Amount of the mixture that each place explains, together with others, `(places,)`.

        Each point counts for its best place.
        """
        frequencies = self.angular_frequencies(mixture)[:, 0]
        places = self._grid(self.places, 0.0, torch.pi / 2).to(frequencies)
        explained = torch.zeros_like(places[:, 0])
        for part in _groups(len(frequencies), len(places) * mixture.shape[-1]):
            point, place = mixture[part], _steering(places, frequencies[part]).conj()
            power = _energy(point).sum(dim=1, keepdim=True)
            cosine = _energy(place @ (point * torch.rsqrt(power.clamp(min=_tiny(power)))))
            # To the eighth power: a place does not explain points a little beside it.
            fit = cosine.square_().square_().square_()
            best = fit.maximum(fit[:, others].amax(dim=1, keepdim=True)) if others else fit
            explained += (best * power.sqrt()).sum(dim=(0, 2))
        return explained

    def _update(self, blocks: list[_Block], magnitudes: Tensor, places: Tensor) -> Tensor:
        """Improve the magnitudes in place, and return better places."""
        attraction, repulsion = torch.zeros_like(places), torch.zeros_like(places)
        for block in blocks:
            heard = block.gains @ places
            model = magnitudes[block.bins]
            pull, push = divergence_gradients(block.observed, heard @ model, self.beta)
            model = model * (heard.mT @ pull) / (heard.mT @ push).clamp(min=_tiny(model))
            magnitudes[block.bins] = model
            pull, push = divergence_gradients(block.observed, heard @ model, self.beta)
            attraction += (block.gains.mT @ (pull @ model.mT)).sum(dim=0)
            repulsion += (block.gains.mT @ (push @ model.mT)).sum(dim=0)
        return places * attraction / repulsion.clamp(min=_tiny(places))

    def _blocks(self, mixture: Tensor) -> Iterator[_Block]:
        frequencies = self.angular_frequencies(mixture)[:, 0]
        directions = self._grid(self.projections, -torch.pi / 2, 0.0).to(frequencies)
        places = self._grid(self.places, 0.0, torch.pi / 2).to(frequencies)
        for part in _groups(len(frequencies), len(directions) * max(mixture.shape[-1], len(places))):
            ears = _steering(directions, frequencies[part]).conj()
            gains = (ears @ _steering(places, frequencies[part]).mT).abs() ** self.alpha
            yield _Block(part, ears, gains, (ears @ mixture[part]).abs() ** self.alpha)

    def _grid(self, counts: tuple[int, int], low: float, high: float) -> Tensor:
        """Angles of level and delays, `(points, 2)`."""
        reach = self.max_delay if counts[1] > 1 else 0.0
        angles = torch.linspace(low, high, counts[0]) if counts[0] > 1 else torch.tensor([(low + high) / 2])
        delays = torch.linspace(-reach, reach, counts[1])
        return torch.cartesian_prod(angles, delays).reshape(-1, 2)


@dataclass(frozen=True)
class _Block:
    """A group of frequencies, and the projections there.

    Attributes:
        bins: Frequencies of the group.
        directions: Projection matrices, `(frequency, projections, 2)`.
        gains: Gain of each place in each projection, `(frequency, projections, places)`.
        observed: Magnitudes of the projected mixture, `(frequency, projections, frames)`.
    """

    bins: slice
    directions: Tensor
    gains: Tensor
    observed: Tensor

    def share(self, mixture: Tensor, magnitudes: Tensor, places: Tensor) -> Tensor:
        """Image of each source in both channels.

        Args:
            mixture: `(frequency, 2, frames)`.
            magnitudes: `(frequency, sources, frames)`.
            places: `(places, sources)`.

        Returns:
            `(frequency, sources, 2, frames)`.
        """
        projected, back = self.directions @ mixture, torch.linalg.pinv(self.directions)
        heard = self.gains @ places
        total = (heard @ magnitudes).clamp(min=_tiny(magnitudes))
        estimates = [
            back @ (projected * (heard[:, :, [source]] * magnitudes[:, [source]] / total))
            for source in range(places.shape[1] - 1)
        ]
        # The last source is the rest: estimates add up even if the model is zero.
        return torch.stack([*estimates, mixture - sum(estimates)], dim=1)


def _groups(count: int, values: int) -> Iterator[slice]:
    """Groups of frequencies, for a number of values of each frequency."""
    size = max(1, _GROUP // values)
    return (slice(start, start + size) for start in range(0, count, size))


def _steering(points: Tensor, frequencies: Tensor) -> Tensor:
    """Both channels `(frequency, points, 2)` of a source at each point (angle of level, delay)."""
    angles, delays = points.unbind(1)
    phases = -frequencies[:, None] * delays
    first = torch.complex(angles.cos(), torch.zeros_like(angles)).expand(phases.shape)
    return torch.stack([first, torch.polar(angles.sin().abs(), phases) * angles.sin().sign()], dim=-1)


def _energy(values: Tensor) -> Tensor:
    """Squared magnitudes of complex numbers."""
    return values.real.square().add_(values.imag.square())


def _tiny(like: Tensor) -> float:
    return float(torch.finfo(like.dtype).tiny)
