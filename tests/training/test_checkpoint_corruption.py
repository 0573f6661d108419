"""A10, A11, A12: no byte of a checkpoint can change without being noticed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.training.disks import FAST, assert_same, make_checkpoint
from trainwell.errors import RunFolderError
from trainwell.training.checkpoint import DamagedError, read_checkpoint, save_checkpoint
from trainwell.training.run_folder import RunFolder

FLIPS = 2000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "checkpoints", make_checkpoint(3, size=2), disk=FAST)


def flip_bit(file: Path, bit: int) -> None:
    with file.open("r+b", buffering=0) as opened:
        opened.seek(bit // 8)
        (byte,) = opened.read(1)
        opened.seek(bit // 8)
        opened.write(bytes([byte ^ 1 << bit % 8]))


def refuses(path: Path) -> bool:
    try:
        read_checkpoint(path)
    except DamagedError:
        return True
    return False


def test_a11_a12_every_one_of_two_thousand_bit_flips_is_detected(path: Path) -> None:
    files = sorted(path.iterdir())
    assert len(files) == 4
    every_bit = [(file, bit) for file in files for bit in range(8 * file.stat().st_size)]
    missed = []
    for file, bit in random.Random(0).sample(every_bit, FLIPS):
        flip_bit(file, bit)
        if not refuses(path):
            missed.append((file.name, bit))
        flip_bit(file, bit)
    assert missed == []
    assert_same(read_checkpoint(path), make_checkpoint(3, size=2))


def test_a12_every_bit_of_the_manifest_counts(path: Path) -> None:
    file = path / "manifest.json"
    for bit in range(8 * file.stat().st_size):
        flip_bit(file, bit)
        assert refuses(path), bit
        flip_bit(file, bit)


def test_a10_every_truncation_of_every_file_is_detected(path: Path) -> None:
    for file in sorted(path.iterdir()):
        held = file.read_bytes()
        for size in range(len(held)):
            file.write_bytes(held[:size])
            assert refuses(path), (file.name, size)
        file.write_bytes(held)
    assert not refuses(path)


def test_a10_every_missing_longer_or_zeroed_file_is_detected(path: Path) -> None:
    for file in sorted(path.iterdir()):
        held = file.read_bytes()
        for wrong in (held + b"\0", held + held, bytes(len(held))):
            file.write_bytes(wrong)
            assert refuses(path)
        file.unlink()
        assert refuses(path)
        os.mkdir(file)
        assert refuses(path)
        os.rmdir(file)
        file.write_bytes(held)
    assert not refuses(path)


def test_a11_every_bit_of_the_runs_own_tensors_counts(tmp_path: Path) -> None:
    """Preprocessing with a flipped bit would spoil every prediction."""
    folder = RunFolder.claim(tmp_path / "run", name="x", disk=FAST)
    folder.write_tensors("preprocess.safetensors", make_checkpoint(1, size=2).tensors["weights"])
    file = folder.path / "preprocess.safetensors"
    for bit in range(8 * file.stat().st_size):
        flip_bit(file, bit)
        with pytest.raises(RunFolderError, match="is damaged"):
            folder.read_tensors("preprocess.safetensors")
        flip_bit(file, bit)
