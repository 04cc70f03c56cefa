"""`soloist score` and `soloist report` from outside."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from soloist.audio import read_audio
from stem_corpora import RATE, noises, spoiled, write_track

STEMS = ("vocals", "other")
MUSDB_STEMS = ("drums", "bass", "other", "vocals")


@pytest.fixture
def corpus(tmp_path):
    """References of ten tracks and estimates of them."""
    for index in range(10):
        references = noises(STEMS, seconds=1.5, seed=index)
        write_track(tmp_path / "references" / f"song {index}", references)
        write_track(tmp_path / "estimates" / f"song {index}", spoiled(references))
    return tmp_path


def _score(soloist, folder, *options):
    return soloist("score", folder / "references", folder / "estimates", "-o", folder / "results", *options)


def _records(folder):
    return sorted(path.stem for path in (folder / "results/estimates/test").glob("*.json"))


def _sdr(folder, track, target):
    record = json.loads((folder / f"results/estimates/test/{track}.json").read_text())
    (frames,) = (found["frames"] for found in record["targets"] if found["name"] == target)
    return [frame["metrics"]["SDR"] for frame in frames]


def test_a_corpus_is_scored_and_reported(soloist, corpus):
    result = _score(soloist, corpus, "--listen", 1)
    assert result.code == 0, result.err
    assert _records(corpus) == [f"song {index}" for index in range(10)]
    heading, *rows = (line.split() for line in result.out.splitlines())
    assert heading[:4] == ["target", "system", "tracks", "SDR"]
    assert [row[:3] for row in rows] == [
        [target, system, "10"] for target in ("vocals", "other") for system in ("estimates", "(mixture)")
    ]
    for name in ("tracks.csv", "frames.csv", "table.md", "report.html"):
        assert (corpus / "results" / name).stat().st_size > 300
    assert "data-audio" in (corpus / "results/report.html").read_text()


def test_scores_of_silent_stems_are_json_for_strict_readers(soloist, tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal((16000, 2))
    stems = {
        "ref/t/vocals": noise,
        "est/t/vocals": noise + 0.01,
        "ref/t/drums": 0 * noise,
        "est/t/drums": noise,
    }
    stems |= {"ref/t/bass": noise[::-1], "est/t/bass": noise[::-1]}
    for name, stem in stems.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / f"{name}.wav", stem, 8000, subtype="FLOAT")
    result = soloist("score", tmp_path / "ref", tmp_path / "est", "-o", tmp_path / "results")
    assert result.code == 0, result.err
    (path,) = (tmp_path / "results").rglob("t.json")
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    frames = {target["name"]: target["frames"] for target in content["targets"]}
    assert frames["drums"][0]["metrics"]["SDR"] is None
    assert frames["vocals"][0]["metrics"]["SDR"] == pytest.approx(20, abs=0.5)
    assert content["soloist"]["whole"]["drums"]["SI-SDR"] is None
    report = soloist("report", tmp_path / "results", "-o", tmp_path / "report")
    assert report.code == 0, report.err


def test_one_track_needs_no_folder_of_results(soloist, tmp_path):
    references = noises(STEMS)
    write_track(tmp_path / "true", references)
    write_track(tmp_path / "estimated", {"accompaniment": 0.5 * references["other"]})
    result = soloist("score", tmp_path / "true", tmp_path / "estimated")
    assert result.code == 0
    row = result.out.splitlines()[1].split()
    assert row[:2] == ["accompaniment", "estimated"]
    assert float(row[3]) == pytest.approx(6.02, abs=0.01)
    assert "vocals: no estimate" in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["estimated", "true"]


def test_one_corrupt_track_among_ten_fails_and_the_rest_is_scored(soloist, corpus):
    (corpus / "references/song 3/vocals.wav").write_bytes(b"RIFF nothing")
    result = _score(soloist, corpus)
    assert result.code == 1
    assert len(_records(corpus)) == 9
    (line,) = (line for line in result.err.splitlines() if line.startswith("soloist:"))
    assert line.startswith("soloist: estimates, song 3: ")
    assert "vocals.wav" in line
    assert "song 3 has no scores" in (corpus / "results/report.html").read_text()
    assert "song 3 has no scores" in (corpus / "results/table.md").read_text()


def test_estimates_that_do_not_fit_are_told_one_by_one(soloist, corpus):
    estimates = corpus / "estimates"
    audio, _ = soundfile.read(estimates / "song 0/vocals.wav", dtype="float32")
    (estimates / "song 0/vocals.wav").unlink()
    soundfile.write(estimates / "song 1/vocals.wav", audio[:-4000], RATE, subtype="FLOAT")
    soundfile.write(estimates / "song 2/vocals.wav", audio, 2 * RATE, subtype="FLOAT")
    soundfile.write(
        estimates / "song 3/vocals.wav", np.where(audio > 0.1, np.nan, audio), RATE, subtype="FLOAT"
    )
    soundfile.write(estimates / "song 4/piano.wav", audio, RATE)
    result = _score(soloist, corpus)
    assert result.code == 1
    assert len(_records(corpus)) == 10
    for line in (
        "estimates, song 0, vocals: no estimate",
        "soloist: estimates, song 1, vocals: it lasts 1.000 s, its reference 1.500 s",
        "soloist: estimates, song 2, vocals: its rate is 16000 Hz, that of the references 8000 Hz",
        "has a sample that is not a number or infinite",
        "estimates, song 4, piano: no reference of this name, not scored",
    ):
        assert line in result.err
    assert [row.split()[2] for row in result.out.splitlines()[1::2]] == ["6", "10"]
    assert np.isfinite(_sdr(corpus, "song 1", "other")).all()


def test_stems_that_are_missing_or_left_over_are_no_failure(soloist, corpus):
    (corpus / "estimates/song 0/vocals.wav").unlink()
    write_track(corpus / "estimates/song 1", {"piano": noises(("piano",))["piano"]})
    assert _score(soloist, corpus).code == 0


def test_a_silent_reference_has_no_scores_and_takes_none(soloist, corpus):
    write_track(corpus / "references/song 0", {"vocals": np.zeros((1, 12000), np.float32)})
    assert _score(soloist, corpus).code == 0
    assert _sdr(corpus, "song 0", "vocals") == [None]
    assert np.isfinite(_sdr(corpus, "song 0", "other")).all()


def test_tracks_without_a_partner_are_told(soloist, corpus):
    (corpus / "estimates/song 0").rename(corpus / "estimates/a song of its own")
    result = _score(soloist, corpus)
    assert result.code == 1
    assert "song 0: it has no estimates" in result.err
    assert "a song of its own: it has no references" in result.err
    assert len(_records(corpus)) == 9


def test_talkers_are_matched_by_quality(soloist, tmp_path):
    references = noises(("s1", "s2"))
    estimates = spoiled(references)
    write_track(tmp_path / "true", references)
    write_track(tmp_path / "estimated", {"a": estimates["s2"], "b": estimates["s1"]})
    result = soloist("score", tmp_path / "true", tmp_path / "estimated", "--permutation")
    assert result.code == 0
    assert [row.split()[0] for row in result.out.splitlines()[1::2]] == ["s1", "s2"]
    assert all(float(row.split()[3]) > 10 for row in result.out.splitlines()[1::2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", 0], "window 0 s"),
        (["--listen", 1], "name a folder with -o"),
    ],
)
def test_wrong_options_are_said(soloist, tmp_path, options, message):
    write_track(tmp_path / "a", noises(STEMS))
    result = soloist("score", tmp_path / "a", tmp_path / "a", *options)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_a_folder_without_stems_is_said(soloist, tmp_path):
    result = soloist("score", tmp_path, tmp_path)
    assert result.code == 2
    assert "no folders of stems" in result.err


def test_report_merges_systems(soloist, corpus):
    _score(soloist, corpus, "--name", "first", "-q")
    soloist("score", corpus / "references", corpus / "references", "-o", corpus / "more", "--name", "second")
    result = soloist("report", corpus / "results", corpus / "more", "-o", corpus / "merged")
    assert result.code == 0
    assert result.out.strip() == str(corpus / "merged/report.html")
    table = (corpus / "merged/table.md").read_text()
    assert "| vocals | first | 10 |" in table
    assert "| vocals | second | 10 |" in table


def test_the_sdr_of_musevals_regression_is_reproduced(soloist, shared, tmp_path):
    """Its other figures are of noise 100 dB below the references, which 16 bits had left in them."""
    # museval's own test draws its estimates so.
    generator = np.random.RandomState(0)
    estimates = {name: generator.random_sample((300032, 2)).T for name in ("vocals", "accompaniment")}
    write_track(tmp_path / "estimates", estimates, 44100)
    result = soloist(
        "score", shared / "data/musdb-sample", tmp_path / "estimates", "-o", tmp_path / "results"
    )
    assert result.code == 0, result.err
    expected = json.loads((shared / "data/musdb-sample/museval-random-estimates.json").read_text())
    for target in expected["targets"]:
        values = [frame["metrics"]["SDR"] for frame in target["frames"]]
        assert _sdr(tmp_path, "Music Delta - 80s Rock", target["name"]) == pytest.approx(values, abs=1e-3)
    assert "directions that they do not have" in (tmp_path / "results/report.html").read_text()


def _rounded(clip, number):
    return np.round(read_audio(clip, stream=number)[0] * 32768) / 32768


def _decoded_by_ffmpeg(clip, number):
    """What museval reads: one sample in ten thousand is rounded the other way."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("the command ffmpeg is not there")
    raw = ["-map", f"0:a:{number}", "-c:a", "pcm_s16le", "-f", "s16le", "-"]
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", clip, *raw], check=True, capture_output=True)
    return np.frombuffer(done.stdout, "<i2").reshape(-1, 2).T / 32768


@pytest.mark.parametrize(("decode", "tolerance"), [(_decoded_by_ffmpeg, 1e-3), (_rounded, 0.1)])
def test_musevals_regression_is_reproduced_from_stems_of_16_bits(
    soloist, shared, tmp_path, decode, tolerance
):
    """Solved as museval does: its figures are those of the rounding noise in the band that AAC left empty."""
    clip = shared / "data/musdb-sample/Music Delta - 80s Rock.stem.mp4"
    stems = {name: decode(clip, number) for number, name in enumerate(MUSDB_STEMS, 1)}
    write_track(tmp_path / "references", stems, 44100)
    generator = np.random.RandomState(0)
    estimates = {name: generator.random_sample((300032, 2)).T for name in ("vocals", "accompaniment")}
    write_track(tmp_path / "estimates", estimates, 44100)
    folders = (tmp_path / "references", tmp_path / "estimates")
    result = soloist("score", *folders, "-o", tmp_path / "results", "--rank-tolerance", 0)
    assert result.code == 0, result.err
    expected = json.loads((shared / "data/musdb-sample/museval-random-estimates.json").read_text())
    (path,) = (tmp_path / "results").rglob("test/*.json")
    written = {target["name"]: target["frames"] for target in json.loads(path.read_text())["targets"]}
    for target in expected["targets"]:
        for frame, known in zip(written[target["name"]], target["frames"], strict=True):
            for metric in ("SDR", "ISR", "SIR", "SAR"):
                assert frame["metrics"][metric] == pytest.approx(known["metrics"][metric], abs=tolerance)
