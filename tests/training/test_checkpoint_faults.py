"""A6, A7, A9: the n-th file operation of a save fails, for every n."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import warnings
from pathlib import Path

import pytest

from tests.training.disks import FAST, FailingDisk, FastDisk, assert_same, make_checkpoint
from trainwell.errors import CheckpointError
from trainwell.training.checkpoint import (
    list_checkpoints,
    newest_checkpoint,
    save_checkpoint,
    verify_checkpoint,
)
from trainwell.training.retention import LeftoverWarning
from trainwell.training.storage import count_free_bytes

SHORT_WRITE = None
FAULTS = [errno.ENOSPC, errno.EIO, errno.EACCES, SHORT_WRITE]


def count_operations(folder: Path) -> int:
    for step in (1, 2):
        save_checkpoint(folder, make_checkpoint(step), disk=FAST)
    disk = FailingDisk()
    save_checkpoint(folder, make_checkpoint(3), disk=disk)
    return len(disk.operations)


def whole_steps(folder: Path) -> set[int]:
    steps = set()
    for path in list_checkpoints(folder):
        verify_checkpoint(path)
        steps.add(int(path.name.split("-")[1]))
    return steps


@pytest.mark.parametrize("fault", FAULTS, ids=lambda n: errno.errorcode[n] if n else "short write")
def test_a6_a7_whichever_operation_fails_a_whole_checkpoint_is_still_there(
    tmp_path: Path, fault: int | None
) -> None:
    operations = count_operations(tmp_path / "counted")
    assert operations >= 28
    raised = 0
    for number in range(1, operations + 1):
        folder = tmp_path / str(number)
        for step in (1, 2):
            save_checkpoint(folder, make_checkpoint(step), disk=FAST)
        disk = FailingDisk(number, fault)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LeftoverWarning)
                save_checkpoint(folder, make_checkpoint(3), disk=disk)
            expected = {2, 3}
        except CheckpointError as error:
            raised += 1
            expected = {1, 2}
            assert os.strerror(fault or 0) in str(error)
            assert str(folder) in str(error)
            assert "older checkpoints are untouched" in str(error)
        assert disk.has_failed
        # Where a rotated one could not be deleted, it is still there and still whole.
        assert whole_steps(folder) >= expected
        found = newest_checkpoint(folder)
        assert found is not None
        assert_same(found[0], make_checkpoint(max(expected)))
        assert found[1] == []
        assert not [name for name in os.listdir(folder) if name.startswith(".saving")]
        save_checkpoint(folder, make_checkpoint(4), disk=disk)
        assert sorted(os.listdir(folder)) == [f"step-00000{max(expected)}", "step-000004"]
    if fault is SHORT_WRITE:
        assert raised == 0
    else:
        assert raised >= operations // 2


class EndlesslyFullDisk(FastDisk):
    """Takes some bytes, then none for ever."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, descriptor: int, content: memoryview) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(descriptor, content[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 100, 1000])
def test_a7_a_disk_that_stays_full_loses_nothing_and_says_how_much_is_needed(
    tmp_path: Path, room: int
) -> None:
    folder = tmp_path / "checkpoints"
    for step in (1, 2):
        save_checkpoint(folder, make_checkpoint(step), disk=FAST)
    for _ in range(3):
        with pytest.raises(CheckpointError, match=r"No space left .*\d+ bytes needed, \d+ bytes"):
            save_checkpoint(folder, make_checkpoint(3), disk=EndlesslyFullDisk(room))
    assert sorted(os.listdir(folder)) == ["step-000001", "step-000002"]
    assert whole_steps(folder) == {1, 2}


def test_a7_a_real_file_size_limit_is_met_as_a_full_disk_is(tmp_path: Path) -> None:
    """No stand-in: the kernel itself refuses to write on."""
    folder = tmp_path / "checkpoints"
    save_checkpoint(folder, make_checkpoint(1), disk=FAST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(CheckpointError, match="File too large"):
            save_checkpoint(folder, make_checkpoint(2, size=1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(folder) == ["step-000001"]


def test_a7_what_cannot_fit_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr("trainwell.training.checkpoint.count_free_bytes", lambda _: 10)
    disk = FailingDisk()
    with pytest.raises(CheckpointError, match="Free space on that disk"):
        save_checkpoint(folder, make_checkpoint(1), disk=disk)
    assert "open_new" not in disk.operations
    assert (count_free_bytes(tmp_path) or 0) > 10


class LyingDisk(FastDisk):
    """Says that all is written and keeps something else."""

    def write(self, descriptor: int, content: memoryview) -> int:
        changed = bytearray(content)
        changed[-1] ^= 1
        return super().write(descriptor, memoryview(changed))


def test_a4_what_does_not_read_back_as_written_replaces_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for step in (1, 2):
        save_checkpoint(folder, make_checkpoint(step), disk=FAST)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        save_checkpoint(folder, make_checkpoint(3), disk=LyingDisk())
    assert sorted(os.listdir(folder)) == ["step-000001", "step-000002"]


class InterruptedDisk(FailingDisk):
    """The user presses Ctrl-C a second time in the middle of an operation."""

    def _error(self) -> OSError:
        raise KeyboardInterrupt


def test_c2_c5_an_interrupt_at_any_operation_of_a_save_tears_nothing(tmp_path: Path) -> None:
    operations = count_operations(tmp_path / "counted")
    for number in range(1, operations + 1):
        folder = tmp_path / str(number)
        for step in (1, 2):
            save_checkpoint(folder, make_checkpoint(step), disk=FAST)
        with contextlib.suppress(KeyboardInterrupt):
            save_checkpoint(folder, make_checkpoint(3), disk=InterruptedDisk(number, errno.EINTR))
        found = newest_checkpoint(folder)
        assert found is not None
        assert_same(found[0], make_checkpoint(found[0].step))
        assert found[0].step in (2, 3)
        assert found[1] == []
        assert not [name for name in os.listdir(folder) if name.startswith(".saving")]
        assert len(whole_steps(folder)) >= 2
