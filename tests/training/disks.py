"""Disks that fail at a given operation, and small checkpoints to put on them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from trainwell.training.checkpoint import Checkpoint
from trainwell.training.storage import Disk


def make_checkpoint(step: int, size: int = 8, rows: int = 0) -> Checkpoint:
    """A checkpoint whose every number follows from its step."""
    generator = torch.Generator().manual_seed(step)
    weights = {
        "layer.weight": torch.randn(size, 3, generator=generator),
        "layer.bias": torch.randn(size, generator=generator).bfloat16(),
        "batches": torch.tensor(step),
    }
    optimizer = {"0.exp_avg": torch.randn(size, 3, generator=generator)}
    state = {"position": {"step": step, "metrics_rows": rows}, "rate": 0.1 * step, "name": "été"}
    prints = {"recipe": "a" * 64, "data": "b" * 64}
    return Checkpoint(step, {"weights": weights, "optimizer": optimizer}, state, prints)


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert found.step == expected.step
    assert found.state == expected.state
    assert found.fingerprints == expected.fingerprints
    assert set(found.tensors) == set(expected.tensors)
    for stem, tensors in expected.tensors.items():
        assert set(found.tensors[stem]) == set(tensors)
        for name, tensor in tensors.items():
            assert found.tensors[stem][name].dtype == tensor.dtype
            assert torch.equal(found.tensors[stem][name], tensor)


NOBODY = 65534


@contextlib.contextmanager
def ordinary_user() -> Iterator[Path]:
    """A folder of a user whom permissions bind, and that user for as long as it lasts."""
    with tempfile.TemporaryDirectory() as path:
        if os.geteuid() != 0:
            yield Path(path)
            return
        os.chown(path, NOBODY, -1)
        os.seteuid(NOBODY)
        try:
            yield Path(path)
        finally:
            os.seteuid(0)


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory where the machine has one: for tests that make very many files."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as path:
        yield Path(path)


class FastDisk(Disk):
    """Does not wait for the device: for tests that never lose power."""

    def sync(self, descriptor: int) -> None:
        """Nothing."""

    def sync_folder(self, path: Path) -> None:
        os.stat(path)


FAST = FastDisk()


class FailingDisk(FastDisk):
    """Fails once, at its n-th operation.

    Args:
        fail_at: Which operation, from 1; 0 never.
        number: The `errno`; None makes a write short instead.
    """

    def __init__(self, fail_at: int = 0, number: int | None = None) -> None:
        self.fail_at, self.number = fail_at, number
        self.operations: list[str] = []
        self.paths: dict[int, Path] = {}
        self.failed_to_sync: set[Path] = set()

    @property
    def has_failed(self) -> bool:
        return 0 < self.fail_at <= len(self.operations)

    def _fails(self, name: str) -> bool:
        self.operations.append(name)
        return len(self.operations) == self.fail_at and self.number is not None

    def _error(self) -> OSError:
        assert self.number is not None
        return OSError(self.number, os.strerror(self.number))

    def _remember(self, path: Path, descriptor: int) -> int:
        self.paths[descriptor] = path
        return descriptor

    def make_folder(self, path: Path) -> None:
        if self._fails("make_folder"):
            raise self._error()
        super().make_folder(path)

    def open_new(self, path: Path) -> int:
        if self._fails("open_new"):
            raise self._error()
        return self._remember(path, super().open_new(path))

    def open_log(self, path: Path) -> int:
        if self._fails("open_log"):
            raise self._error()
        return self._remember(path, super().open_log(path))

    def write(self, descriptor: int, content: memoryview) -> int:
        fails = self._fails("write")
        if len(self.operations) == self.fail_at:
            written = super().write(descriptor, content[: max(1, len(content) // 2)])
            if fails:
                raise self._error()
            return written
        return super().write(descriptor, content)

    def truncate(self, descriptor: int, size: int) -> None:
        if self._fails("truncate"):
            raise self._error()
        super().truncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        path = self.paths[descriptor]
        assert path not in self.failed_to_sync, "a failed fsync was tried again"
        if self._fails("sync"):
            self.failed_to_sync.add(path)
            raise self._error()

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        if self._fails("close"):
            raise self._error()

    def sync_folder(self, path: Path) -> None:
        if self._fails("sync_folder"):
            raise self._error()
        super().sync_folder(path)

    def rename(self, old: Path, new: Path) -> None:
        if self._fails("rename"):
            raise self._error()
        super().rename(old, new)

    def remove_file(self, path: Path) -> None:
        if self._fails("remove_file"):
            raise self._error()
        super().remove_file(path)

    def remove_folder(self, path: Path) -> None:
        if self._fails("remove_folder"):
            raise self._error()
        super().remove_folder(path)
