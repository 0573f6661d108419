"""The file operations of a save, and who a leftover belongs to."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.disks import FAST, FailingDisk
from trainwell.training.owner import Owner
from trainwell.training.storage import (
    DISK,
    FORBIDDEN,
    Disk,
    count_free_bytes,
    describe_failure,
    read_file,
)


def test_a_written_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "file"
    DISK.write_file(path, b"one")
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        DISK.write_file(path, b"two")
    assert path.read_bytes() == b"one"


def test_descriptors_are_closed_whatever_fails(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1, 5):
        with pytest.raises(OSError, match="Input/output"):
            FailingDisk(number, errno.EIO).write_file(tmp_path / str(number), b"content")
    assert len(os.listdir("/proc/self/fd")) == before


class TinyWrites(Disk):
    """Takes three bytes at a time, as a pipe or a network file system may."""

    def write(self, descriptor: int, content: memoryview) -> int:
        return super().write(descriptor, content[:3])


class NoWrites(Disk):
    """Takes nothing, and says so for ever."""

    def write(self, descriptor: int, content: memoryview) -> int:
        return 0


def test_short_writes_are_finished_and_a_disk_that_takes_nothing_is_an_error(
    tmp_path: Path,
) -> None:
    TinyWrites().write_file(tmp_path / "a", bytes(range(100)))
    assert (tmp_path / "a").read_bytes() == bytes(range(100))
    with pytest.raises(OSError, match="took no bytes"):
        NoWrites().write_file(tmp_path / "b", b"content")


@pytest.mark.parametrize("number", range(1, 7))
def test_a_replaced_file_is_the_old_or_the_new_one_whichever_operation_fails(
    tmp_path: Path, number: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    disk = FailingDisk(number, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        disk.replace_file(path, b"new", tmp_path / "temporary")
    is_last = disk.operations[-1] == "sync_folder"
    assert path.read_bytes() == (b"new" if is_last else b"old")
    assert os.listdir(tmp_path) == ["file"]


def test_removing_a_tree_does_not_follow_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "file").write_bytes(b"x")
    (tree / "folder link").symlink_to(outside)
    (tree / "file link").symlink_to(outside / "kept")
    FAST.remove_tree(tree)
    assert os.listdir(tmp_path) == ["outside"]
    assert (outside / "kept").read_bytes() == b"kept"


def test_only_regular_files_of_the_expected_size_are_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_file(file, 5) == b"12345"
    with pytest.raises(ValueError, match="has 5 bytes, expected at most 4"):
        read_file(file, 4)
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("link", "is a link"), ("pipe", "not a regular"), (".", "not a regular")):
        with pytest.raises(ValueError, match=reason):
            read_file(tmp_path / name, 5)
    with pytest.raises(ValueError, match="not a regular"):
        read_file(Path("/dev/zero"), 5)


def test_a_folder_that_cannot_be_synced_is_no_failure_but_a_broken_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    number = errno.EINVAL
    DISK.sync_folder(tmp_path)
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        DISK.sync_folder(tmp_path)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free space"),
        (errno.EDQUOT, "Free space"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EACCES, "write access"),
        (errno.EROFS, "write access"),
        (errno.EIO, "may be failing"),
        (errno.ENOENT, "Mend that"),
    ],
)
def test_a_failure_says_what_to_do(tmp_path: Path, number: int, remedy: str) -> None:
    error = OSError(number, os.strerror(number))
    found, advice = describe_failure(error, tmp_path, needed=123)
    assert os.strerror(number) in found
    assert "123 bytes needed" in found
    assert remedy in advice
    assert "resume" not in advice, "there is no run yet"
    (tmp_path / "run.json").touch()
    (tmp_path / "checkpoints").mkdir()
    for folder in (tmp_path, tmp_path / "checkpoints"):
        advice = describe_failure(error, folder)[1]
        assert "resume" in advice or number in FORBIDDEN
    assert describe_failure(error, tmp_path / "gone", needed=123)[0] == os.strerror(number)


def test_free_bytes_are_those_of_the_volume(tmp_path: Path) -> None:
    free = count_free_bytes(tmp_path)
    assert free is not None
    assert free > 0
    assert count_free_bytes(tmp_path / "gone") is None


def test_an_owner_is_told_from_every_other_process() -> None:
    here = Owner.current()
    assert here.state() == "live"
    assert Owner.parse(str(here)) == here
    assert Owner.parse("12-34") is None
    assert dataclasses.replace(here, started=here.started + 1).state() == "dead"
    assert dataclasses.replace(here, boot="00000000").state() == "dead"
    assert dataclasses.replace(here, boot="00000000", host="11111111").state() == "unknown"
    assert dataclasses.replace(here, namespace=1).state() == "unknown"


def test_an_owner_that_ended_is_dead_even_before_its_parent_has_noticed() -> None:
    print_owner = "from trainwell.training.owner import Owner; print(Owner.current())"
    command = [sys.executable, "-c", print_owner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        owner = Owner.parse(child.stdout.readline().strip())
        assert owner is not None
        assert owner.pid == child.pid
        # Not waited for: what is left of it is a zombie.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert owner.state() == "dead"
