"""Advice after unknown names: one line that a terminal can hold."""

import pytest

from soloist.config import nearest
from soloist.errors import ModelError
from soloist.zoo import find


def test_a_few_names_are_listed_and_many_are_counted():
    assert nearest("zebra", ["stft", "slicq"]) == "known are slicq, stft"
    assert nearest("stfd", ["stft", "slicq"]) == "did you mean 'stft'?"
    assert nearest("zebra", map(str, range(100, 150))).endswith("118, 119 and 30 more")
    with pytest.raises(ModelError) as error:
        find("somebody/else")
    assert len(str(error.value)) < 600
