"""Disk and secret."""

import os
from types import SimpleNamespace

import pytest

from stageapp.doctor import questions


@pytest.mark.parametrize("free, health", [(50, "ok"), (19, "warn"), (4, "fail")])
def test_a_disk_is_judged_by_what_is_free(settings, monkeypatch, tmp_path, free, health):
    settings.STAGE_DISK_PATHS, settings.STAGE_BACKUP_DIR = [str(tmp_path)], ""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free, f_blocks=100))
    (answer,) = questions.disk()
    assert (answer.name, answer.health, answer.said) == (
        f"disk {tmp_path}",
        health,
        f"{free} % free",
    )


def test_a_folder_that_is_made_later_is_on_the_disk_of_its_parent(settings, tmp_path):
    settings.STAGE_DISK_PATHS, settings.STAGE_BACKUP_DIR = [], str(tmp_path / "later" / "backups")
    (answer,) = questions.disk()
    assert "% free" in answer.said


def test_without_a_folder_nobody_knows(settings):
    settings.STAGE_DISK_PATHS, settings.STAGE_BACKUP_DIR = [], ""
    (answer,) = questions.disk()
    assert answer.health == "no_data"


@pytest.mark.parametrize(
    "secrets, health", [([], "warn"), (["x" * 31], "fail"), (["x" * 32], "ok")]
)
def test_a_secret_has_to_be_there_and_long_enough(monkeypatch, secrets, health):
    monkeypatch.setattr(questions, "webhook_secrets", lambda: secrets, raising=False)
    (answer,) = questions.webhook_secret()
    assert answer.health == health
    assert "xxx" not in answer.said
