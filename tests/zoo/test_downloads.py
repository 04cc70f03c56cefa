"""Downloads from a real server on this machine that misbehaves on request."""

import hashlib
import io
import socket
from pathlib import Path

import pytest
import torch
import yaml

import published_open_unmix
from loopback_server import FILE, serving
from soloist import zoo
from soloist.errors import ModelError


@pytest.fixture
def server(checkpoint, monkeypatch):
    monkeypatch.delenv("SOLOIST_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.content = checkpoint.read_bytes()
        yield server


@pytest.fixture
def publish(home):
    """Put a card with the address of the model `talkers` into the models folder."""

    def write(url, content=b""):
        file = {"filename": FILE, "url": url}
        if content:
            file |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        card = {
            "name": "talkers",
            "system": "SuDoRM-RF",
            "title": "Two talkers",
            "sources": ["speaker1", "speaker2"],
            "files": [file],
        }
        path = home / "models" / "talkers" / "card.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(card))
        return home / "downloads" / FILE

    return write


def part_of(path):
    return path.with_name(f"{path.name}.part")


def test_a_download_becomes_a_model_that_loads(server, publish, home):
    publish(server.url, server.content)
    seen = []
    folder = zoo.download("talkers", progress=lambda *counts: seen.append(counts))
    assert folder == home / "models" / "talkers"
    assert zoo.load("talkers").sources == ("speaker1", "speaker2")
    assert seen[-1] == (len(server.content), len(server.content))
    assert [received for received, _ in seen] == sorted(received for received, _ in seen)
    assert list((home / "downloads").iterdir()) == []


def test_what_is_on_disk_is_not_downloaded_again(server, publish):
    publish(server.url, server.content)
    assert zoo.download("talkers") == zoo.download("talkers")
    assert len(server.ranges) == 1


class TestResume:
    def test_a_cut_connection_is_taken_up_where_it_broke(self, server, publish):
        publish(server.url, server.content)
        server.cuts = [8192, 4096]
        zoo.download("talkers")
        assert server.ranges == [None, "bytes=8192-", "bytes=12288-"]
        assert zoo.load("talkers")

    def test_a_failed_download_is_taken_up_by_the_next_one(self, server, publish):
        path = publish(server.url, server.content)
        server.cuts = [8192, 0]
        with pytest.raises(ModelError, match="it broke"):
            zoo.download("talkers")
        assert part_of(path).stat().st_size == 8192
        assert not path.exists()
        zoo.download("talkers")
        assert server.ranges[-1] == "bytes=8192-"
        assert zoo.load("talkers")

    def test_it_does_not_try_for_ever(self, server, publish):
        publish(server.url, server.content)
        server.cuts = [4096] * 100
        server.supports_ranges = False
        with pytest.raises(ModelError, match="it broke"):
            zoo.download("talkers")
        assert len(server.ranges) < 20

    @pytest.mark.parametrize("change", [{"supports_ranges": False}, {"tag": '"second"'}, {"tag": None}])
    def test_another_version_of_the_file_is_begun_anew(self, server, publish, change):
        path = publish(server.url, server.content)
        whole, server.content = server.content, b"x" * len(server.content)
        server.cuts = [8192, 0]
        with pytest.raises(ModelError):
            zoo.download("talkers")
        assert part_of(path).exists()
        server.content = whole
        for name, value in change.items():
            setattr(server, name, value)
        zoo.download("talkers")
        assert zoo.load("talkers")

    def test_without_a_tag_nothing_is_continued(self, server, publish):
        publish(server.url, server.content)
        server.tag, server.cuts = None, [8192]
        zoo.download("talkers")
        assert server.ranges == [None, None]

    def test_a_part_that_is_longer_than_the_file_is_thrown_away(self, server, publish):
        path = publish(server.url, server.content)
        path.parent.mkdir(parents=True)
        part_of(path).write_bytes(server.content + b"more")
        part_of(path).with_name(f"{FILE}.part.tag").write_text(server.tag)
        zoo.download("talkers")
        assert zoo.load("talkers")


class TestFailures:
    def assert_nothing_came(self, home, path):
        assert not path.exists()
        assert not zoo.find("talkers").on_disk
        assert [entry.name for entry in (home / "models" / "talkers").iterdir()] == ["card.yaml"]

    def test_a_wrong_hash_is_refused_and_not_kept(self, server, publish, home):
        path = publish(server.url, b"what was published")
        with pytest.raises(ModelError, match=hashlib.sha256(b"what was published").hexdigest()):
            zoo.download("talkers")
        self.assert_nothing_came(home, path)
        assert list(path.parent.iterdir()) == []

    @pytest.mark.parametrize("status", [404, 403, 500])
    def test_a_refusal_names_the_answer_and_the_way_out(self, server, publish, home, status):
        path = publish(server.url, server.content)
        server.status = status
        with pytest.raises(ModelError, match=str(status)) as error:
            zoo.download("talkers")
        assert f"put it at {path}" in str(error.value)
        self.assert_nothing_came(home, path)

    def test_offline_it_says_which_file_to_put_where(self, server, publish, home):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/{FILE}"
        path = publish(url, server.content)
        with pytest.raises(ModelError, match="no connection") as error:
            zoo.download("talkers")
        message = str(error.value)
        digest = hashlib.sha256(server.content).hexdigest()
        for told in (url, digest, f"put it at {path}", "soloist models download talkers"):
            assert told in message
        assert "\n" not in message
        self.assert_nothing_came(home, path)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
    def test_a_full_disk_is_named(self, server, publish, home):
        path = publish(server.url, server.content)
        path.parent.mkdir(parents=True)
        part_of(path).symlink_to("/dev/full")
        with pytest.raises(ModelError, match=r"cannot write to .*No space left"):
            zoo.download("talkers")
        self.assert_nothing_came(home, path)

    def test_a_file_in_the_place_of_the_folder_is_named(self, server, publish, home):
        path = publish(server.url, server.content)
        path.parent.write_text("in the way")
        with pytest.raises(ModelError, match="cannot write to"):
            zoo.download("talkers")

    @pytest.mark.parametrize("name", ["hpss", "nothing-of-the-kind"])
    def test_what_cannot_be_downloaded_is_refused(self, home, name):
        with pytest.raises(ModelError, match=r"nothing to download|no model is named"):
            zoo.download(name)

    def test_a_model_without_an_address_is_to_be_imported(self, publish, home):
        path = publish("")
        with pytest.raises(ModelError, match=f"no address of {FILE}") as error:
            zoo.download("talkers")
        assert f"put it at {path}" in str(error.value)


class TestByHand:
    def test_a_file_that_was_put_there_is_taken_and_left(self, server, publish):
        path = publish(server.url, server.content)
        path.parent.mkdir(parents=True)
        path.write_bytes(server.content)
        zoo.download("talkers")
        assert zoo.load("talkers")
        assert server.ranges == []
        assert path.read_bytes() == server.content

    def test_a_wrong_file_that_was_put_there_is_named_and_left(self, server, publish):
        path = publish(server.url, server.content)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"something else")
        with pytest.raises(ModelError, match="delete it") as error:
            zoo.download("talkers")
        assert str(path) in str(error.value)
        assert path.read_bytes() == b"something else"


class TestTrustOnFirstUse:
    def test_the_first_download_is_recorded_and_said(self, server, publish, home):
        publish(server.url)
        notices = []
        zoo.download("talkers", notice=notices.append)
        digest = hashlib.sha256(server.content).hexdigest()
        trusted, served = notices
        assert digest in trusted
        assert served == f"talkers came from {server.url}"
        recorded = yaml.safe_load((home / "models" / "trusted-hashes.yaml").read_text())
        assert recorded == {server.url: digest}
        assert zoo.card_of("talkers").files[0].sha256 == digest

    def test_later_downloads_are_held_to_it(self, server, publish):
        publish(server.url)
        first = server.content
        zoo.download("talkers")
        zoo.remove("talkers")
        publish(server.url)
        server.content = first + b"\0"
        with pytest.raises(ModelError, match=hashlib.sha256(first).hexdigest()):
            zoo.download("talkers")
        server.content, notices = first, []
        zoo.download("talkers", notice=notices.append)
        assert notices == [f"talkers came from {server.url}"]
        assert zoo.load("talkers")

    def test_what_is_not_the_model_is_neither_trusted_nor_kept(self, server, publish, home):
        path = publish(server.url)
        model, server.content = server.content, b"<html>Please log in</html>"
        with pytest.raises(ModelError, match="not a PyTorch checkpoint"):
            zoo.download("talkers")
        assert not (home / "models" / "trusted-hashes.yaml").exists()
        assert not path.exists()
        server.content = model
        zoo.download("talkers")
        assert zoo.load("talkers")


class TestSeveralFiles:
    """A model with one published file for each source."""

    @pytest.fixture
    def parts(self):
        sizes = {"hidden": 4, "num_bins": 33, "input_bins": 20, "layers": 1}
        contents = {}
        for seed, source in enumerate(("vocals", "rest")):
            with io.BytesIO() as file:
                torch.save(published_open_unmix.open_unmix_state(seed=seed, **sizes), file)
                contents[f"{source}.pth"] = file.getvalue()
        return contents

    @pytest.fixture
    def publish_parts(self, server, parts, home):
        server.contents = {f"/files/{name}": content for name, content in parts.items()}

        def write(digits):
            card = {
                "name": "two",
                "system": "Open-Unmix",
                "title": "Two stems",
                "sources": ["vocals", "rest"],
                "files": [
                    {
                        "filename": name,
                        "url": server.url.rpartition("/")[0] + f"/{name}",
                        "sha256": hashlib.sha256(content).hexdigest()[:digits],
                        "size": len(content),
                        "source": name.removesuffix(".pth"),
                    }
                    for name, content in parts.items()
                ],
            }
            path = home / "models" / "two" / "card.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(card))
            return home / "downloads"

        return write

    @pytest.mark.parametrize("digits", [0, 8, 64])
    def test_they_become_one_model(self, publish_parts, parts, home, digits):
        downloads = publish_parts(digits)
        seen, notices = [], []
        zoo.download("two", progress=lambda *counts: seen.append(counts), notice=notices.append)
        assert zoo.load("two").sources == ("vocals", "rest")
        assert list(downloads.iterdir()) == []
        whole = sum(len(content) for content in parts.values())
        assert seen[-1] == (whole, whole)
        assert [received for received, _ in seen] == sorted(received for received, _ in seen)
        assert len(notices) == (1 if digits == 64 else 3)
        recorded = home / "models" / "trusted-hashes.yaml"
        assert recorded.exists() == (digits < 64)

    @pytest.mark.parametrize("digits", [8, 64])
    def test_one_that_is_another_file_is_refused_and_the_others_are_kept(
        self, server, publish_parts, parts, home, digits
    ):
        downloads = publish_parts(digits)
        server.contents["/files/rest.pth"] = b"something else"
        with pytest.raises(ModelError, match=hashlib.sha256(parts["rest.pth"]).hexdigest()[:digits]):
            zoo.download("two")
        assert [path.name for path in downloads.iterdir()] == ["vocals.pth"]
        asked = len(server.ranges)
        server.contents["/files/rest.pth"] = parts["rest.pth"]
        zoo.download("two")
        assert len(server.ranges) == asked + 1
        assert zoo.load("two")

    def test_a_hash_of_which_the_beginning_was_known_is_recorded_in_full(self, server, publish_parts, parts):
        publish_parts(8)
        zoo.download("two")
        zoo.remove("two")
        publish_parts(0)
        server.contents["/files/rest.pth"] += b"\0"
        with pytest.raises(ModelError, match=hashlib.sha256(parts["rest.pth"]).hexdigest()):
            zoo.download("two")

    def test_a_file_put_there_by_hand_is_held_to_what_is_known(self, publish_parts, parts):
        downloads = publish_parts(8)
        downloads.mkdir(parents=True)
        (downloads / "vocals.pth").write_bytes(b"something else")
        with pytest.raises(ModelError, match="delete it"):
            zoo.download("two")
        (downloads / "vocals.pth").write_bytes(parts["vocals.pth"])
        zoo.download("two")
        assert [path.name for path in downloads.iterdir()] == ["vocals.pth"]
