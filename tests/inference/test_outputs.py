import pytest

from soloist.errors import UsageError
from soloist.inference.outputs import DEFAULT_TEMPLATE, check_template, stem_paths


def fill(folder, template=DEFAULT_TEMPLATE, model="hpss", track="song", stems=("vocals",)):
    return stem_paths(folder, template, model=model, track=track, stems=stems, extension="wav")


def test_the_template_is_filled_in(tmp_path):
    paths = fill(tmp_path, track="disc 2/🎸", stems=("vocals", "drums"))
    assert paths["drums"] == tmp_path / "hpss" / "disc 2" / "🎸" / "drums.wav"


def test_a_model_given_by_its_path_lends_its_name(tmp_path):
    assert fill(tmp_path, model="/models/mine/")["vocals"] == tmp_path / "mine" / "song" / "vocals.wav"


@pytest.mark.parametrize("template", ["../{stem}.wav", "/tmp/{stem}.wav", "a/../../{stem}.{ext}"])
def test_no_path_leaves_the_output_folder(tmp_path, template):
    with pytest.raises(UsageError, match="outside"):
        fill(tmp_path, template)


@pytest.mark.parametrize("track", ["..", "../../x"])
def test_no_track_s_name_leaves_the_output_folder(tmp_path, track):
    with pytest.raises(UsageError, match="outside"):
        fill(tmp_path, "{track}/{stem}.wav", track=track)


def test_a_link_inside_does_not_lead_out(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "hpss").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="outside"):
        fill(tmp_path / "out")


@pytest.mark.parametrize(
    "template", ["{nonsense}/{stem}", "{stem", "{0}{stem}", "{track}.wav", "{stem.real}"]
)
def test_a_template_that_cannot_work_is_refused(template):
    with pytest.raises(UsageError, match="template"):
        check_template(template, one_file_per_stem=True)
