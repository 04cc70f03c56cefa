"""REPET-SIM: repetition by similarity."""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import normalize

from soloist.errors import UsageError
from soloist.separators.training_free.mask_separator import MaskType, RepetitionSeparator, ratio_mask
from soloist.separators.training_free.sliding import median_of_frames, sliding_maximum
from soloist.transforms import Window


class RepetSim(RepetitionSeparator):
    """Models the accompaniment in each frame by the median of the most similar frames.

    The similarity of two frames is the cosine of their magnitudes, averaged over channels; the similar
    frames are the highest local maxima of a frame's similarities to all others, itself included [1].

    Memory grows with the square of the length of a chunk. Similar frames of a file come from the same chunk.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture.
        n_fft: Length of the window, samples; None for the power of two nearest to 40 ms.
        hop_length: Distance of the frames, samples; None for half the window.
        window: Name of the window.
        mask: "soft", or "hard": each bin goes to the source with the larger soft mask.
        high_pass: Frequency, Hz, below which everything is accompaniment; 0 for none.
        threshold: Least similarity of similar frames, in [0, 1].
        min_distance: Least distance of similar frames from one another, s.
        max_frames: Most frames of a median.
        picking: Choice of similar frames. "maxima": local maxima, as described. "greedy", as nussl does:
            repeatedly the most similar frame without the neighbours of earlier picks; similarities are
            rescaled to [0, 1] for each frame, and the first pick, presumably the frame itself, is dropped.
            Frames without a similar one are then all accompaniment.

    References:
        [1] Z. Rafii and B. Pardo, "Music/voice separation using the similarity matrix", ISMIR 2012.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        mask: MaskType = "soft",
        high_pass: float = 100.0,
        threshold: float = 0.0,
        min_distance: float = 1.0,
        max_frames: int = 100,
        picking: Literal["maxima", "greedy"] = "maxima",
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length,
            window=window,
            mask=mask,
            high_pass=high_pass,
        )
        if not 0 <= threshold <= 1:
            raise UsageError(f"threshold {threshold:g} of a similarity must lie in 0..1")
        if min_distance < 0 or max_frames < 1:
            raise UsageError("min_distance must not be negative, and max_frames at least 1")
        self.threshold = threshold
        self.min_distance = min_distance * sample_rate / self.stft.hop_length
        self.max_frames = max_frames
        self.picking = picking

    @property
    def chunk_length(self) -> int:
        """Half a minute: several bars, and a similarity matrix of a few ten megabytes."""
        return 30 * self.sample_rate

    def background(self, magnitudes: Tensor) -> Tensor:
        """Soft mask of the repeating part; see `RepetitionSeparator`."""
        return torch.stack([self._background_of_item(item) for item in magnitudes])

    def _background_of_item(self, magnitudes: Tensor) -> Tensor:
        similarity = cosine_similarity(magnitudes.mean(dim=0))
        pick = self._pick_maxima if self.picking == "maxima" else self._pick_greedily
        indices, counts = pick(similarity)
        frames = rearrange(magnitudes, "c f t -> t (c f)")
        model = median_of_frames(frames, indices, counts.clamp(min=1))
        model = rearrange(model, "t (c f) -> c f t", c=magnitudes.shape[0])
        return torch.where(counts > 0, ratio_mask(model, magnitudes), 1.0)

    def _pick_maxima(self, similarity: Tensor) -> tuple[Tensor, Tensor]:
        """Indices `(frames, largest count)` of similar frames, best first, and their counts `(frames,)`."""
        size = 2 * int(self.min_distance) + 1
        peak = (similarity >= sliding_maximum(similarity, size, dim=1)) & (similarity >= self.threshold)
        # A frame is always similar to itself; rounding may rank another one higher.
        peak |= torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
        counts = peak.sum(dim=1).clamp(max=self.max_frames)
        ranked = similarity.masked_fill(~peak, -torch.inf)
        return ranked.topk(int(counts.max()), dim=1).indices, counts

    def _pick_greedily(self, similarity: Tensor) -> tuple[Tensor, Tensor]:
        """`_pick_maxima` in the way of nussl."""
        left = rescaled_rows(similarity)
        left = left.masked_fill(left < self.threshold, 0)
        position = torch.arange(len(left), device=left.device)
        back, ahead = -int(-self.min_distance // 1), int(self.min_distance)
        picks: list[Tensor] = []
        valid: list[Tensor] = []
        while len(picks) < self.max_frames and bool((left > 0).any()):
            valid.append((left > 0).any(dim=1))
            picks.append(left.argmax(dim=1))
            offset = position - picks[-1][:, None]
            left = left.masked_fill((offset >= -back) & (offset <= ahead), 0)
        if len(picks) < 2:
            return position[:, None], torch.zeros_like(position)
        counts = torch.stack(valid[1:]).sum(dim=0)
        return torch.stack(picks[1:], dim=1), counts


def cosine_similarity(magnitudes: Tensor) -> Tensor:
    """Cosines `(frames, frames)` of the frames of `(frequency, frames)`; 0 for silence."""
    frames = normalize(magnitudes.T, dim=1, eps=torch.finfo(magnitudes.dtype).tiny)
    return frames @ frames.T


def rescaled_rows(values: Tensor) -> Tensor:
    """Rows of `(rows, columns)` rescaled to [0, 1]; constant rows become zero."""
    values = values - values.amin(dim=1, keepdim=True)
    largest = values.amax(dim=1, keepdim=True)
    return values / largest.masked_fill(largest <= 0, 1)
