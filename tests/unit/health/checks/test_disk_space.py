"""Tests the disk space check on the file systems of this machine."""

import os

import pytest

from combine_health.checks import DiskSpace
from combine_health.testing import run_check


def test_a_file_system_with_free_space_is_healthy(tmp_path):
    seen = run_check(DiskSpace(str(tmp_path), min_free_percent=0, warn_free_percent=0))
    assert seen.status == "healthy"
    assert 0 < seen.data["free_bytes"] <= seen.data["total_bytes"]
    assert 0 <= seen.data["free_percent"] <= 100
    assert seen.data["path"] == str(tmp_path)


@pytest.mark.parametrize(
    ("limits", "status", "cause"),
    [
        ({"min_free_bytes": 2**62}, "failing", "disk_full"),
        ({"min_free_percent": 100}, "failing", "disk_full"),
        ({"min_free_percent": 0, "warn_free_percent": 100}, "degraded", "disk_low"),
    ],
)
def test_free_space_below_a_limit_is_reported(tmp_path, limits, status, cause):
    (tmp_path / "used").write_bytes(b"x" * 4096)
    seen = run_check(DiskSpace(str(tmp_path), **limits))
    assert (seen.status, seen.cause) == (status, cause)
    assert "df -h" in seen.remedy


def blocks(monkeypatch, **fields):
    found = {
        "f_bsize": 4096,
        "f_frsize": 4096,
        "f_blocks": 1000,
        "f_bfree": 500,
        "f_bavail": 450,
        "f_files": 100,
        "f_ffree": 50,
        "f_favail": 50,
        "f_flag": 0,
        "f_namemax": 255,
    }
    values = {**found, **fields}
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(tuple(values.values())))


def test_blocks_reserved_for_root_do_not_count(monkeypatch):
    blocks(monkeypatch)
    seen = run_check(DiskSpace())
    # df counts the same: 450 of the 950 blocks that are not reserved for root.
    assert seen.data["free_percent"] == 47.4
    assert seen.data["free_bytes"] == 450 * 4096


def test_exhausted_inodes_are_reported(monkeypatch):
    blocks(monkeypatch, f_favail=1)
    seen = run_check(DiskSpace())
    assert (seen.status, seen.cause) == ("failing", "inodes_full")
    assert "df -i" in seen.remedy


def test_a_file_system_may_have_no_inodes(monkeypatch):
    blocks(monkeypatch, f_files=0, f_favail=0)
    assert run_check(DiskSpace()).status == "healthy"


def test_a_missing_path_fails(tmp_path):
    seen = run_check(DiskSpace(str(tmp_path / "missing")))
    assert (seen.status, seen.cause) == ("failing", "path_missing")


def test_a_file_instead_of_a_folder_is_accepted(tmp_path):
    (tmp_path / "file").write_text("")
    assert run_check(DiskSpace(str(tmp_path / "file" / "below"))).cause == "path_missing"


@pytest.mark.parametrize(
    "wrong", [{"path": ""}, {"path": "a\0b"}, {"min_free_bytes": -1}, {"warn_free_percent": 101}]
)
def test_invalid_arguments_are_rejected(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiskSpace(**wrong)
