import unicodedata

import pytest

from soloist.errors import UsageError
from soloist.inference import find_tracks


@pytest.fixture
def album(tmp_path):
    for name in ("one.wav", "one.flac", "disc 2/two.mp3", "disc 2/🎸 three.ogg", "cover.jpg", ".hidden.wav"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "album"


def names(tracks):
    return [track.name for track in tracks]


def test_a_folder_gives_its_audio_at_any_depth_with_names_that_differ(album):
    assert names(find_tracks([str(album)])) == ["disc 2/two", "disc 2/🎸 three", "one.flac", "one.wav"]


def test_a_file_is_taken_whatever_its_suffix(album):
    assert names(find_tracks([str(album / "cover.jpg")])) == ["cover"]


def test_a_glob_is_expanded(album):
    assert names(find_tracks([str(album / "*" / "*.mp3")])) == ["two"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path):
    path = tmp_path / "song [live].wav"
    path.write_bytes(b"")
    assert names(find_tracks([str(path)])) == ["song [live]"]


def test_a_file_named_twice_is_taken_once(album):
    assert len(find_tracks([str(album / "one.wav"), str(album)])) == 4


def test_same_names_from_different_folders_stay_apart(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "song.wav").write_bytes(b"")
    found = names(find_tracks([str(tmp_path / "a" / "song.wav"), str(tmp_path / "b" / "song.wav")]))
    assert len(set(found)) == 2


def test_the_output_folder_is_not_separated_again(album):
    stems = album / "separated" / "model"
    stems.mkdir(parents=True)
    (stems / "vocals.wav").write_bytes(b"")
    assert len(find_tracks([str(album)], exclude=album / "separated")) == 4


def test_the_two_suffixes_of_a_multi_stream_file_are_dropped(tmp_path):
    path = tmp_path / "a.b.stem.mp4"
    path.write_bytes(b"")
    assert names(find_tracks([str(path)])) == ["a.b"]


@pytest.mark.parametrize("given", ["empty", "*.nothing"])
def test_nothing_to_separate_is_said(tmp_path, given):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError):
        find_tracks([str(tmp_path / given)])


def test_nothing_to_separate_beside_something_is_told(tmp_path, album):
    (tmp_path / "empty").mkdir()
    told = []
    given = [str(tmp_path / "empty"), str(album), str(tmp_path / "*.nothing")]
    found = find_tracks(given, failure=lambda *failure: told.append(failure))
    assert len(found) == 4
    assert [name for name, _ in told] == [given[0], given[2]]
    with pytest.raises(UsageError):
        find_tracks(given)


def test_a_match_without_sound_is_told_and_the_other_matches_are_taken(tmp_path, album):
    (tmp_path / "a folder.wav").mkdir()
    told = []
    found = find_tracks([str(tmp_path / "*")], failure=lambda *failure: told.append(failure))
    assert len(found) == 4
    assert [name for name, _ in told] == [str(tmp_path / "a folder.wav")]


def test_names_that_differ_in_case_or_composition_stay_apart(tmp_path):
    paths = [tmp_path / str(number) / name for number, name in enumerate(("A\u0308.wav", "\u00e4.wav"))]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"")
    found = names(find_tracks([str(path) for path in paths]))
    assert len({unicodedata.normalize("NFC", name).casefold() for name in found}) == 2
