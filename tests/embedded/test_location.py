"""The root's identity, private folders and lock."""

import json
import os
import shutil
import stat
import threading

import pytest

from stageapp.embedded import EmbeddedError, location
from tests.embedded.conftest import as_ordinary_user, as_root


def test_an_identity_is_made_once_and_is_private(tmp_path):
    first = location.prepare(tmp_path)
    assert location.prepare(tmp_path) == location.find(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600
    assert len(first.password) >= 40


def test_two_roots_share_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = location.prepare(tmp_path / "a"), location.prepare(tmp_path / "b")
    assert a.password != b.password
    assert a.sockets != b.sockets


def test_a_moved_root_keeps_its_key(tmp_path):
    (tmp_path / "a").mkdir()
    old = location.prepare(tmp_path / "a")
    moved = (tmp_path / "a").rename(tmp_path / "b")
    found = location.find(moved)
    assert found is not None
    assert (found.root, found.key, found.password) == (moved, old.key, old.password)
    assert location.prepare(moved) == found


def test_a_copied_root_gets_sockets_of_its_own_and_keeps_the_password_of_its_data(tmp_path):
    (tmp_path / "a").mkdir()
    old = location.prepare(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert location.find(tmp_path / "b") is None, "stopping the copy must not stop the original"
    new = location.prepare(tmp_path / "b")
    assert new.sockets != old.sockets
    assert new.password == old.password
    assert location.prepare(tmp_path / "a") == old


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", json.dumps({"root": 1, "key": "a", "password": "b"})]
)
def test_a_damaged_identity_is_reported(tmp_path, content):
    (tmp_path / "identity.json").write_text(content)
    with pytest.raises(EmbeddedError, match=r"is damaged\. Restore it"):
        location.prepare(tmp_path)


def test_a_socket_path_stays_short_under_the_deepest_root(tmp_path):
    deep = tmp_path.joinpath(*["a-rather-long-name-for-a-folder"] * 8)
    deep.mkdir(parents=True)
    socket = location.prepare(deep).sockets / "postgres18" / ".s.PGSQL.5432.lock"
    assert len(str(deep)) > 107
    assert len(str(socket)) < 60


def test_a_private_folder_is_made_or_accepted(tmp_path):
    for _ in range(2):
        folder = location.own_folder(tmp_path / "mine")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_is_not_a_private_folder(tmp_path):
    (tmp_path / "target").mkdir(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(EmbeddedError, match="link is not a private folder"):
        location.own_folder(tmp_path / "link")


def test_a_file_is_not_a_private_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="file is not a private folder"):
        location.own_folder(tmp_path / "file")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_write_is_not_private(tmp_path, mode):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(EmbeddedError, match="Remove it if it is left over"):
        location.own_folder(tmp_path / "open")


@as_root
def test_another_users_folder_is_not_private(tmp_path):
    (tmp_path / "theirs").mkdir(0o700)
    os.chown(tmp_path / "theirs", 65533, -1)
    with pytest.raises(EmbeddedError, match="owner 65533"):
        location.own_folder(tmp_path / "theirs")


@as_ordinary_user
def test_roots_folder_is_not_ours():
    with pytest.raises(EmbeddedError, match="owner 0"):
        location.own_folder(location.Path("/usr"))


@as_root
def test_a_folder_left_without_its_owner_is_given_to_them(tmp_path):
    (tmp_path / "made").mkdir(0o700)  # a crash between mkdir and chown
    location.own_folder(tmp_path / "made", owner=65533)
    assert (tmp_path / "made").stat().st_uid == 65533


def test_a_private_file_is_replaced_whole(tmp_path):
    for text in ("a much longer first content", "short"):
        location.write_private(tmp_path / "secret", text)
        assert (tmp_path / "secret").read_text() == text
    assert os.listdir(tmp_path) == ["secret"]
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_the_lock_admits_one_at_a_time(tmp_path):
    inside, most = [], []

    def work():
        with location.locked(tmp_path):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_a_lock_that_is_held_too_long_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(location, "LOCK_LIMIT", 0.1)
    with (
        location.locked(tmp_path),
        pytest.raises(EmbeddedError, match="End the process that holds it"),
        location.locked(tmp_path),
    ):
        pass
