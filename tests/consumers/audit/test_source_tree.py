"""Which files of a source tree are read, and what is said of those that are not."""

import os

import pytest

from stageapp.consumers.audit.source_tree import Left, family_of, walk


def read(*paths, **more):
    left = Left()
    return {
        os.path.basename(file.path): file
        for file in walk([str(path) for path in paths], left, **more)
    }, left


@pytest.mark.parametrize(
    "name, family",
    [
        ("a.py", "python"),
        ("A.PY", "python"),
        ("a.tsx", "mixed"),
        ("a.go", "c"),
        ("a.html", "markup"),
        ("a.rb", "hash"),
        ("Gemfile", "hash"),
        ("a.sql", "sql"),
        ("a.ipynb", "json"),
        ("a.yml", "yaml"),
        (".env.test", "settings"),
        ("a.csv", "table"),
        ("a.md", ""),
        ("a.png", ""),
        ("Makefile", ""),
        (".gitignore", ""),
    ],
)
def test_the_name_tells_the_language(name, family):
    assert family_of(f"some/folder/{name}") == family


@pytest.mark.parametrize(
    "first, family",
    [
        ("#!/usr/bin/python3", "python"),
        ("#!/usr/bin/env node", "c"),
        ("#!/bin/sh", "hash"),
        ("all: build", None),
    ],
)
def test_a_file_without_an_ending_is_told_by_its_first_line(tmp_path, first, family):
    (tmp_path / "tool").write_text(f"{first}\n")
    files, left = read(tmp_path)
    assert (files["tool"].family if files else None) == family
    assert left.other == (family is None)


def test_bytes_that_do_not_decode_are_replaced_and_marks_are_dropped(tmp_path):
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbfx = '\xff'")
    (tmp_path / "b.py").write_bytes("x = 'é'".encode("utf-16"))
    (tmp_path / "c.py").write_bytes(b"\xff\xfe\x00")
    files, left = read(tmp_path)
    assert (files["a.py"].text, files["b.py"].text) == ("x = '\ufffd'", "x = 'é'")
    assert len(files) == 3
    assert left.binary == 0


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.py")
    files, left = read(tmp_path)
    assert files == {}
    assert left.other == 1


def test_a_file_that_is_there_no_more_is_named(tmp_path):
    (tmp_path / "a.py").write_text("")
    files = walk([str(tmp_path), str(tmp_path / "gone.py")], left := Left())
    assert [os.path.basename(file.path) for file in files] == ["a.py"]
    assert left.unreadable == [(str(tmp_path / "gone.py"), "No such file or directory")]


def test_the_limit_is_of_bytes_and_each_larger_file_is_named_with_its_size(tmp_path):
    (tmp_path / "at.py").write_text("é" * 5)
    (tmp_path / "above.py").write_text("é" * 5 + "x")
    files, left = read(tmp_path, max_bytes=10)
    assert list(files) == ["at.py"]
    assert left.too_large == [(str(tmp_path / "above.py"), 11)]


@pytest.mark.parametrize(
    "pattern, kept",
    [("sub", ["a.py"]), ("sub/b.py", ["a.py", "c.py"]), ("*.py", []), ("b.*", ["a.py", "c.py"])],
)
def test_a_pattern_leaves_out_by_name_or_by_path(tmp_path, pattern, kept):
    for name in ("a.py", "sub/b.py", "sub/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert list(read(tmp_path, exclude=[pattern])[0]) == kept


def test_links_are_not_followed_unless_they_are_named(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.py").write_text("")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "tree" / "b.py").symlink_to(tmp_path / "real" / "a.py")
    assert read(tmp_path / "tree")[0] == {}
    assert list(read(tmp_path / "tree" / "b.py")[0]) == ["b.py"]
