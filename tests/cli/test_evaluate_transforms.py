"""`soloist evaluate` with oracles on other transforms."""

import pytest

from stem_corpora import noises, write_track


@pytest.mark.slow
def test_oracles_are_compared_on_two_transforms(soloist, tmp_path):
    write_track(tmp_path / "corpus/song", noises(("vocals", "drums"), seconds=1.2))
    result = soloist(
        *("evaluate", "oracle:mpi", "oracle:mpi@stft:1024:256", tmp_path / "corpus"),
        *("--transform", "slicq:mel:20:80", "-o", tmp_path / "results", "--listen", 0),
    )
    assert result.code == 0, result.err
    table = (tmp_path / "results/table.md").read_text()
    assert "oracle:mpi@slicq:mel:20:80 " in table
    assert "oracle:mpi@stft:1024:256 " in table


def test_an_option_for_oracles_is_not_ignored(soloist, tmp_path):
    write_track(tmp_path / "corpus/song", noises(("vocals", "drums"), seconds=1.2))
    result = soloist("evaluate", "repet", tmp_path / "corpus", "--transform", "slicq:bark:262:32.9")
    assert result.code == 2
    assert "name one, such as oracle:mpi" in result.err
