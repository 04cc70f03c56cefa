"""Memory of causal networks from one piece of a stream to the next."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soloist.networks.layers.contracts import State


class Carry:
    """State of a stream's layers, read and renewed in the order in which the layers run.

    A recording in one piece and the same recording frame by frame take the same operations.

    Args:
        state: State behind the frames so far; empty at the beginning of a stream.
    """

    def __init__(self, state: State = ()) -> None:
        self._past = list(state)
        self._begins = not state
        self._next: list[Tensor] = []

    @property
    def state(self) -> State:
        """State behind the latest frames."""
        return tuple(self._next)

    def recall(self, default: Tensor) -> Tensor:
        """Next tensor of the state; at the beginning of a stream the default."""
        return default if self._begins else self._past.pop(0)

    def keep(self, x: Tensor) -> None:
        """Put a tensor into the state behind these frames, to be recalled in the same order."""
        self._next.append(x)

    def prepend(self, x: Tensor, frames: int) -> Tensor:
        """Put the previous frames before the next ones; zeros at the beginning of a stream.

        Args:
            x: Next frames, `(batch, channels, frames, bands)`.
            frames: Number of previous frames.

        Returns:
            `(batch, channels, frames, bands)`, longer by the previous frames.
        """
        if not frames:
            return x
        past = self.recall(x.new_zeros(*x.shape[:2], frames, x.shape[3]))
        whole = torch.cat([past, x], dim=2)
        self.keep(whole[:, :, -frames:])
        return whole

    def recur(self, rnn: nn.GRU | nn.LSTM, x: Tensor) -> Tensor:
        """Run a recurrent stack of one direction on the next frames.

        Args:
            rnn: The stack.
            x: Next frames, `(batch, frames, inputs)`.

        Returns:
            `(batch, frames, hidden_size)`.
        """
        if isinstance(rnn, nn.LSTM):
            output, hidden = rnn(x, None if self._begins else (self._past.pop(0), self._past.pop(0)))
            self._next += hidden
            return output
        output, last = rnn(x, None if self._begins else self._past.pop(0))
        self.keep(last)
        return output
