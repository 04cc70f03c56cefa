"""Pieces of a spectrogram, for networks that are made for one number of frames."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad


def cut_frames(spectrogram: Tensor, num_frames: int | None) -> Tensor:
    """Cut a spectrogram into pieces of `num_frames` frames, the last one padded with zeros.

    Args:
        spectrogram: `(batch, channels, frequency, frames)`.
        num_frames: Frames of a piece; None for one piece.

    Returns:
        `(pieces, channels, frequency, num_frames)`, the pieces of the first item first.
    """
    if num_frames is None:
        return spectrogram
    whole = pad(spectrogram, (0, -spectrogram.shape[-1] % num_frames))
    return whole.unflatten(-1, (-1, num_frames)).movedim(3, 1).flatten(0, 1)


def join_frames(pieces: Tensor, spectrogram: Tensor) -> Tensor:
    """Undo `cut_frames`.

    Args:
        pieces: `(pieces, channels, frequency, num_frames)`, with any number of channels.
        spectrogram: The spectrogram that was cut.

    Returns:
        `(batch, channels, frequency, frames)`.
    """
    whole = pieces.unflatten(0, (spectrogram.shape[0], -1)).movedim(1, 3).flatten(3)
    return whole[..., : spectrogram.shape[-1]]
