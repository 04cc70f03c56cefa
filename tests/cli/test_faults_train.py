"""`soloist train` that is killed, or finds no room: what is kept stays whole, and the next call goes on."""

import signal
import sys
from pathlib import Path

import pytest

from faults import die_within_file, fill_disk, leftovers, lose_rights, moments_of, run_forked, send
from soloist.training.loop.checkpoints import read_checkpoint

pytest_plugins = ["training.conftest"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are those of POSIX"),
]


@pytest.fixture(scope="module")
def recipe(write_shared_recipe):
    """A training of two epochs, with checkpoints within them and a test."""
    return write_shared_recipe(checkpoint_every=2, trainer={"max_epochs": 2})


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    """The moments of the training, and the weights that nothing interrupted."""
    run = tmp_path_factory.mktemp("trained") / "whole"
    ended = run_forked("train", recipe, "-o", run, "-q", watch=run)
    assert ended.code == 0, ended.err
    return ended.moments, weights(run)


def weights(run):
    return (run / "model/model.safetensors").read_bytes()


def go_on(soloist, recipe, run, expected):
    """The next call: that which the message of the last one names, or the same command."""
    begun = (run / "recipe.yaml").is_file()
    result = soloist("train", *(("--resume", run) if begun else (recipe, "-o", run)), "-q")
    assert result.code == 0, result.err
    assert weights(run) == expected
    assert leftovers(run) == []
    assert (run / "results.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_at_any_moment(soloist, recipe, trained, tmp_path, number, request):
    moments, expected = trained
    for moment in moments_of(request.node.name, 3, len(moments)):
        run = tmp_path / f"run-{moment}"
        ended = run_forked("train", recipe, "-o", run, "-q", watch=run, at=moment, fault=send(number))
        assert ended.code == (-number if number == signal.SIGKILL else 128 + number), ended.err
        if number != signal.SIGKILL:
            line = ended.err.splitlines()[-1]
            assert line in (
                f"soloist: interrupted; go on with: soloist train --resume {run}",
                "soloist: interrupted before the training began",
            )
        go_on(soloist, recipe, run, expected)


def test_a_kill_before_the_first_checkpoint_begins_anew(soloist, recipe, trained, tmp_path, request):
    moments, expected = trained
    first = next(place for place, moment in enumerate(moments, 1) if "/checkpoints/.soloist" in moment)
    for moment in moments_of(request.node.name, 4, first):
        run = tmp_path / f"run-{moment}"
        ended = run_forked("train", recipe, "-o", run, "-q", watch=run, at=moment)
        assert ended.code == -signal.SIGKILL
        go_on(soloist, recipe, run, expected)


def test_a_kill_in_the_middle_of_a_checkpoint_leaves_the_one_before(soloist, recipe, trained, tmp_path):
    moments, expected = trained
    # A checkpoint's file is opened twice: when it is made, and to be written.
    opened = {moment: place for place, moment in enumerate(moments, 1) if moment.startswith("open ")}
    written = [place for moment, place in opened.items() if "/checkpoints/.soloist" in moment]
    assert len(written) > 3
    for place in written[1:3]:
        run = tmp_path / f"run-{place}"
        ended = run_forked("train", recipe, "-o", run, "-q", watch=run, at=place, fault=die_within_file(5000))
        assert ended.code == -signal.SIGXFSZ
        (half,) = leftovers(run)
        assert half.stat().st_size == 5000
        steps = read_checkpoint(run / "checkpoints/last.ckpt")["global_step"]
        assert steps > 0
        go_on(soloist, recipe, run, expected)


@pytest.mark.parametrize("fault", ["full disk", "read-only folders"])
def test_it_loses_its_room_at_any_moment(soloist, recipe, trained, tmp_path, fault, request):
    moments, expected = trained
    for moment in moments_of(request.node.name, 3, len(moments)):
        run = tmp_path / f"run-{moment}"
        run.mkdir()
        folders = [run, run / "checkpoints"]
        lost = fill_disk(3000) if fault == "full disk" else lose_rights(*folders)
        ended = run_forked("train", recipe, "-o", run, "-q", watch=run, at=moment, fault=lost)
        assert ended.code == 1, ended.err
        (line,) = ended.err.splitlines()
        assert line.startswith("soloist: ")
        assert "internal error" not in line
        assert str(run) in line
        assert leftovers(run) == [] or fault == "read-only folders"
        for folder in filter(Path.is_dir, folders):
            folder.chmod(0o755)
        go_on(soloist, recipe, run, expected)


def test_a_kill_before_the_last_checkpoint_is_linked_as_the_best(soloist, recipe, trained, tmp_path):
    moments, expected = trained
    run = tmp_path / "run"
    place = max(place for place, moment in enumerate(moments, 1) if moment.startswith("os.link"))
    assert run_forked("train", recipe, "-o", run, "-q", watch=run, at=place).code == -signal.SIGKILL
    go_on(soloist, recipe, run, expected)
