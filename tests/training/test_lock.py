"""A15: one process a run folder."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.training.children import fork_and_leave, hold_until_told, try_to_hold
from tests.training.disks import ordinary_user
from tests.training.noisy_runs import context
from trainwell.errors import RunFolderError
from trainwell.training import strict_json
from trainwell.training.lock import LOCK_NAME, hold_lock


@contextmanager
def child(task: Callable[[Path, Connection], None], path: Path) -> Iterator[tuple[Any, Connection]]:
    server = context()
    here, there = server.Pipe()
    process = server.Process(target=task, args=(path, there), daemon=True)
    process.start()
    there.close()
    try:
        yield process, here
    finally:
        process.kill()
        process.join()


def test_a15_a_second_process_is_told_the_holder_in_less_than_two_seconds(tmp_path: Path) -> None:
    with child(hold_until_told, tmp_path) as (process, connection):
        pid = connection.recv()
        assert pid == process.pid
        begun = time.monotonic()
        with pytest.raises(RunFolderError) as caught, hold_lock(tmp_path):
            pass
        assert time.monotonic() - begun < 2
        assert f"in use by process {pid} on {os.uname().nodename} since 20" in str(caught.value)
        assert str(tmp_path) in str(caught.value)


def test_a15_the_lock_of_a_killed_process_is_taken_over_and_says_whose_it_was(
    tmp_path: Path,
) -> None:
    with child(hold_until_told, tmp_path) as (process, connection):
        pid = connection.recv()
        os.kill(pid, signal.SIGKILL)
        process.join()
        with hold_lock(tmp_path) as abandoned_by:
            assert abandoned_by is not None
            assert f"process {pid} on " in abandoned_by


def test_a15_a_lock_that_was_given_back_was_nobodys(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_lock(tmp_path) as abandoned_by:
            assert abandoned_by is None


def test_a15_one_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with hold_lock(tmp_path):
        with pytest.raises(RunFolderError, match="in use by") as caught, hold_lock(tmp_path):
            pass
        assert f"process {os.getpid()} on" in str(caught.value)
        with child(try_to_hold, tmp_path) as (_, connection):
            assert f"in use by process {os.getpid()}" in connection.recv()
    with child(try_to_hold, tmp_path) as (_, connection):
        assert connection.recv() == "held"


def test_a15_the_holder_is_described_for_people_and_machines(tmp_path: Path) -> None:
    with hold_lock(tmp_path):
        holder = strict_json.parse((tmp_path / LOCK_NAME).read_bytes())
    assert set(holder) == {"pid", "host", "boot", "since"}
    assert (tmp_path / LOCK_NAME).read_bytes() == b""


def test_a15_what_is_left_of_a_lock_after_a_power_loss_does_not_matter(tmp_path: Path) -> None:
    for content in (b"", b"\0" * 40, b'{"pid": 12', b'{"pid":1,"host":"h","boot":"b"}'):
        (tmp_path / LOCK_NAME).write_bytes(content)
        with hold_lock(tmp_path):
            pass


def test_a_holder_without_a_name_is_still_a_holder(tmp_path: Path) -> None:
    with hold_lock(tmp_path):
        os.truncate(tmp_path / LOCK_NAME, 0)
        begun = time.monotonic()
        with pytest.raises(RunFolderError, match="in use by another process"), hold_lock(tmp_path):
            pass
        assert time.monotonic() - begun < 2


def test_c6_a_fork_that_outlives_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    with child(fork_and_leave, tmp_path) as (process, connection):
        forked = connection.recv()
        connection.send("go")
        process.join()
        try:
            os.kill(forked, 0)
            with hold_lock(tmp_path):
                pass
        finally:
            os.kill(forked, signal.SIGKILL)


def test_a_fork_that_leaves_the_block_does_not_give_back_its_parents_lock(tmp_path: Path) -> None:
    parent = os.getpid()
    with hold_lock(tmp_path):
        forked = os.fork()
        if forked:
            assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
            assert (tmp_path / LOCK_NAME).read_bytes() != b""
            with child(try_to_hold, tmp_path) as (_, connection):
                assert "in use by" in connection.recv()
    if os.getpid() != parent:
        os._exit(0)


def test_a9_a_folder_that_cannot_be_written_is_named() -> None:
    with ordinary_user() as folder:
        folder.chmod(0o500)
        with pytest.raises(RunFolderError) as caught, hold_lock(folder):
            pass
        folder.chmod(0o700)
        assert f"{folder}: cannot be written: Permission denied" in str(caught.value)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="No such file"), hold_lock(tmp_path / "gone"):
        pass


def test_a17_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(RunFolderError, match="cannot be locked: No locks"), hold_lock(tmp_path):
        pass
