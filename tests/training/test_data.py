"""The processes that prepare batches: an interruption is not for them, and they say nothing of it."""

from __future__ import annotations

import signal
import sys
from multiprocessing import current_process, resource_sharer
from multiprocessing.connection import Client

import numpy as np
import pytest
import torch

from soloist.mixing import Example
from soloist.training.data.batches import _pass_over_closed_pipes, make_loader

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


class Signals:
    """Draws silence, named after the signals that the process does not hear."""

    def draw(self, index: int) -> Example:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        silence = np.zeros((2, 1, 8), np.float32)
        return Example(silence.sum(0), silence, " ".join(sorted(number.name for number in blocked)))


@pytest.mark.skipif(
    torch.multiprocessing.get_sharing_strategy() != "file_descriptor", reason="tensors are shared as files"
)
def test_a_training_may_go_away_while_it_takes_a_batch(monkeypatch, capfd):
    met = []

    def turn_away(identity):
        """Connect to the worker that hands a tensor over, and be gone before it has said what it wants."""
        met.append(identity[0])
        Client(identity[0], authkey=current_process().authkey).close()
        raise KeyboardInterrupt

    monkeypatch.setattr(resource_sharer._resource_sharer, "get_connection", turn_away)
    batches = iter(make_loader(Signals(), [[0], [1]], workers=1))
    with pytest.raises(KeyboardInterrupt):
        next(batches)
    # The worker's thread answers one at a time: when it answers again, it is done with the first.
    Client(met[0], authkey=current_process().authkey).close()
    batches._shutdown_workers()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "told"),
    [(EOFError(), ""), (ConnectionResetError(), ""), (ValueError("odd"), "ValueError: odd\n")],
)
def test_nothing_but_closed_pipes_is_passed_over(error, told, capfd):
    _pass_over_closed_pipes(type(error), error, None)
    assert capfd.readouterr().err == told


def test_workers_never_hear_an_interrupt():
    (batch,) = make_loader(Signals(), [[0]], workers=1)
    assert "SIGINT" in batch.names[0]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
