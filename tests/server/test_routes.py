"""The REST interface, without workers."""

import io
import zipfile

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from served_songs import RATE, finished_job, noise
from soloist.server import Limits, Service, make_application


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return Service(tmp_path_factory.mktemp("jobs"), Limits(upload=50_000, waiting=3))


@pytest.fixture(scope="module")
def client(service):
    with TestClient(make_application(service), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="module")
def job(service):
    return finished_job(
        service.jobs, {"vocals": noise(1, 2, 6 * RATE), "drums": noise(2, 2, 6 * RATE)}, name="Ä/song"
    )


@pytest.fixture(autouse=True)
def _no_waiting(service):
    yield
    for job in list(service.jobs):
        if job.is_active:
            service.delete(job)


def test_an_upload_becomes_a_waiting_job_whose_file_is_what_was_sent(client, service):
    content = bytes(range(256)) * 10
    answer = client.post("/api/jobs?name=../../etc/passwd&offer=hpss", content=content)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["place"], told["size"], told["model"]) == ("waiting", 1, 2560, "hpss")
    job = service.jobs.get(told["id"])
    assert job.upload.read_bytes() == content
    assert job.folder.parent == service.jobs.folder
    assert client.get(f"/api/jobs/{job.id}").json() == told
    assert "client" not in told
    assert "folder" not in told


@pytest.mark.parametrize(
    ("query", "content", "status", "part"),
    [
        ("offer=nosuch", b"sound", 400, "there is no task or model 'nosuch'"),
        ("offer=hpss", b"", 400, "the upload is empty"),
        ("offer=hpss", bytes(50_001), 413, "an upload may have 0.05 MB"),
    ],
)
def test_wrong_uploads_are_refused_and_leave_nothing(client, service, query, content, status, part):
    before = list(service.jobs.folder.iterdir())
    answer = client.post(f"/api/jobs?{query}", content=content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert part in answer.json()["detail"]
    assert list(service.jobs.folder.iterdir()) == before


def test_an_upload_without_a_length_is_stopped_where_it_is_too_large(client, service):
    sent = []

    def blocks():
        for _ in range(100):
            sent.append(1)
            yield bytes(10_000)

    before = list(service.jobs.folder.iterdir())
    assert client.post("/api/jobs?offer=hpss", content=blocks()).status_code == 413
    assert list(service.jobs.folder.iterdir()) == before


def test_when_too_many_jobs_wait_the_next_one_is_refused_for_now(client):
    for _ in range(3):
        assert client.post("/api/jobs?offer=hpss", content=b"sound").status_code == 202
    answer = client.post("/api/jobs?offer=hpss", content=b"sound")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert "3 jobs wait already" in answer.json()["detail"]


def test_clients_take_turns(client):
    places = {}
    for sender in ("a", "a", "b"):
        told = client.post("/api/jobs?offer=hpss", content=b"sound", headers={"X-Client": sender}).json()
        places[told["id"]] = sender
    listed = {job["id"]: job["place"] for job in client.get("/api/jobs").json() if job["place"]}
    assert [sender for _, sender in sorted((listed[each], sender) for each, sender in places.items())] == [
        "a",
        "b",
        "a",
    ]


def test_a_deleted_job_is_gone(client, service):
    told = client.post("/api/jobs?offer=hpss", content=b"sound").json()
    assert client.delete(f"/api/jobs/{told['id']}").status_code == 204
    assert client.get(f"/api/jobs/{told['id']}").status_code == 404
    assert len(service.queue) == 0


def test_what_does_not_wait_for_its_stems_is_told_so(client):
    told = client.post("/api/jobs?offer=hpss", content=b"sound").json()
    answer = client.get(f"/api/jobs/{told['id']}/stems/vocals")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "the job is waiting"


def test_flac_comes_in_ranges(client, job):
    whole = client.get(f"/api/jobs/{job.id}/stems/vocals")
    assert whole.content == job.track("vocals").read_bytes()
    part = client.get(f"/api/jobs/{job.id}/stems/vocals", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert "%C3%84_song%20%28vocals%29.flac" in whole.headers["content-disposition"]


@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "opus", "m4a"])
def test_stems_come_in_any_format(client, job, kind):
    answer = client.get(f"/api/jobs/{job.id}/stems/drums?format={kind}")
    assert answer.status_code == 200
    assert f".{kind}" in answer.headers["content-disposition"]
    if kind == "wav":
        samples, rate = soundfile.read(io.BytesIO(answer.content))
        np.testing.assert_allclose(samples.T, noise(2, 2, 6 * RATE), atol=1e-6)
        assert rate == RATE
    assert not list(job.folder.glob("made-*"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("stems/nosuch", 404),
        ("stems/vocals?format=nosuch", 400),
        ("stems/vocals/pieces/2", 404),
        ("stems/vocals/pieces/-1", 404),
        ("stems/vocals/pieces/x", 400),
        ("stems/vocals/peaks/255", 404),
        ("mix", 400),
        ("mix?track=nosuch", 404),
        ("mix?track=vocals,loud", 400),
        ("stems/vocals?format=mp3&bitrate=7", 400),
        ("nosuch", 404),
    ],
)
def test_wrong_wishes_are_answered_with_a_line(client, job, path, status):
    answer = client.get(f"/api/jobs/{job.id}/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_pieces_peaks_and_pictures_are_what_a_browser_needs(client, job):
    root = f"/api/jobs/{job.id}/stems/mixture"
    samples, rate = soundfile.read(io.BytesIO(client.get(f"{root}/pieces/1").content))
    assert (samples.shape, rate) == ((RATE, 2), RATE)
    assert len(client.get(f"{root}/peaks/1024").content) == 2 * -(-6 * RATE // 1024)
    assert client.get(f"{root}/spectrogram").content.startswith(b"\x89PNG")


def test_a_mix_and_an_archive_are_made(client, job):
    answer = client.get(f"/api/jobs/{job.id}/mix?format=wav&track=vocals,-6&track=drums,-120")
    samples, _ = soundfile.read(io.BytesIO(answer.content))
    np.testing.assert_allclose(samples.T, 10 ** (-6 / 20) * noise(1, 2, 6 * RATE), atol=2e-6)
    content = client.get(f"/api/jobs/{job.id}/stems.zip?format=wav").content
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["1 vocals.wav", "2 drums.wav"]
    assert client.get(f"/api/jobs/{job.id}/stems.mp4").status_code == 200


def test_events_tell_the_end(client, job):
    with client.stream("GET", f"/api/jobs/{job.id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert '"state": "finished"' in next(answer.iter_lines())


def test_the_page_its_parts_and_the_description_are_there_and_nothing_else(client):
    assert "Drop songs here" in client.get("/").text
    for part in ("page.js", "page.css", "players.css", "mixer.js", "transport.js", "api.html", "api.js"):
        assert client.get(f"/parts/{part}").status_code == 200
    for name in ("application.py", "..%2fapplication.py", "%2e%2e", "index.html%00"):
        assert client.get(f"/parts/{name}").status_code == 404
    assert "/api/jobs/{job_id}/mix" in client.get("/api/openapi.json").json()["paths"]


def test_the_speed_of_a_model_is_that_of_earlier_jobs(client, service, job):
    job.model, job.started, job.finished = "hpss", 100.0, 103.0
    offers = {offer["name"]: offer for offer in client.get("/api/offers").json()["offers"]}
    assert offers["hpss"]["speed"] == 2.0
    assert offers["repet"]["speed"] is None


def test_offers_are_tasks_and_models(client):
    told = client.get("/api/offers").json()
    offers = {offer["name"]: offer for offer in told["offers"]}
    assert {"voice", "stems", "karaoke", "talkers", "denoise", "hpss"} <= set(offers)
    assert offers["karaoke"]["preset"] == "karaoke"
    assert offers["talkers"]["size"] == ""
    assert offers["denoise"]["size"].endswith("MB")
    assert told["upload_limit"] == 50_000
