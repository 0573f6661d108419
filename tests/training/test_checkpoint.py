"""What a checkpoint promises, one test for each thing that can go wrong with it."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import pytest
import torch

from tests.training.disks import FAST, FailingDisk, assert_same, make_checkpoint, ordinary_user
from trainwell.errors import CheckpointError
from trainwell.training import strict_json
from trainwell.training.checkpoint import (
    Checkpoint,
    DamagedError,
    NewerFormatError,
    list_checkpoints,
    newest_checkpoint,
    quarantine,
    read_checkpoint,
    save_checkpoint,
    verify_checkpoint,
)
from trainwell.training.owner import Owner
from trainwell.training.retention import LeftoverWarning, temporary_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def save(folder: Path, *steps: int, keep: int = 2) -> list[Path]:
    return [save_checkpoint(folder, make_checkpoint(s), keep=keep, disk=FAST) for s in steps]


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def newest_step(folder: Path) -> int:
    found = newest_checkpoint(folder)
    assert found is not None
    return found[0].step


def flip(path: Path, at: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def sign(path: Path, **changes: object) -> None:
    """Changes a manifest as its writer could have."""
    fields = strict_json.parse((path / "manifest.json").read_bytes())
    fields |= changes
    fields.pop("digest")
    digest = hashlib.sha256(strict_json.dump(fields)).hexdigest()
    (path / "manifest.json").write_bytes(strict_json.dump({**fields, "digest": digest}))


def test_reads_back_what_was_saved(folder: Path) -> None:
    path = save_checkpoint(folder, make_checkpoint(7))
    assert path == folder / "step-000007"
    assert_same(read_checkpoint(path), make_checkpoint(7))
    assert path.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in path.iterdir()} == {0o600}


def test_every_kind_of_number_survives(folder: Path) -> None:
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int8]
    kinds += [torch.uint8, torch.int64, torch.bool, torch.complex64]
    tensors = {str(kind): torch.tensor([[0, 1, 1]]).to(kind) for kind in kinds}
    tensors |= {"empty": torch.zeros(0, 4), "scalar": torch.tensor(2.5)}
    tensors |= {"turned": torch.arange(6.0).reshape(2, 3).T}
    saved = Checkpoint(1, {"weights": tensors, "window": {}}, {}, {})
    found = read_checkpoint(save_checkpoint(folder, saved, disk=FAST))
    assert found.tensors["window"] == {}
    for name, tensor in tensors.items():
        assert found.tensors["weights"][name].dtype == tensor.dtype
        assert found.tensors["weights"][name].tolist() == tensor.tolist()


def test_no_checkpoint_at_all_is_none(folder: Path) -> None:
    assert newest_checkpoint(folder) is None
    folder.mkdir()
    (folder / temporary_name("saving")).mkdir()
    assert newest_checkpoint(folder) is None


def test_a4_the_newest_two_whole_ones_stay(folder: Path) -> None:
    save(folder, 1, 2, 3, keep=2)
    assert names(folder) == ["step-000002", "step-000003"]
    save(folder, 4, keep=0)
    assert names(folder) == ["step-000003", "step-000004"]


def test_a4_a_damaged_one_does_not_count_as_kept(folder: Path) -> None:
    _, _, third = save(folder, 1, 2, 3, keep=3)
    flip(third / "state.json")
    save(folder, 4, keep=2)
    assert names(folder) == ["step-000002", "step-000003", "step-000004"]


def test_a4_protected_steps_stay(folder: Path) -> None:
    for step in range(1, 6):
        save_checkpoint(folder, make_checkpoint(step), protect=[2], disk=FAST)
    assert names(folder) == ["step-000002", "step-000004", "step-000005"]


def test_a4_what_cannot_be_deleted_is_told_and_deleted_by_the_next_save(folder: Path) -> None:
    save(folder, 1, 2)
    disk = FailingDisk()
    save_checkpoint(folder, make_checkpoint(3), disk=disk)
    number = disk.operations.index("remove_file") + 1
    with pytest.warns(LeftoverWarning, match="could not be deleted"):
        save_checkpoint(folder, make_checkpoint(4), disk=FailingDisk(number, errno.EIO))
    assert any(name.startswith(".deleting") for name in names(folder))
    save(folder, 5)
    assert names(folder) == ["step-000004", "step-000005"]


def test_a10_a_truncated_checkpoint_is_put_aside_and_the_older_one_used(folder: Path) -> None:
    _, newest = save(folder, 1, 2)
    os.truncate(newest / "weights.safetensors", 20)
    found = newest_checkpoint(folder)
    assert found is not None
    assert_same(found[0], make_checkpoint(1))
    (damaged,) = found[1]
    assert "weights.safetensors" in damaged.reason
    assert "cut short: 20 of" in damaged.reason
    message = quarantine(damaged)
    assert "was put aside as damaged-step-000002-" in message
    assert newest_step(folder) == 1
    assert (folder / message.split()[-1] / "weights.safetensors").stat().st_size == 20


def test_a10_where_renaming_is_not_possible_the_damaged_one_is_passed_over(folder: Path) -> None:
    _, newest = save(folder, 1, 2)
    (newest / "optimizer.safetensors").unlink()
    found = newest_checkpoint(folder)
    assert found is not None
    assert found[0].step == 1
    assert "left where it is" in quarantine(found[1][0], FailingDisk(1, errno.EROFS))
    assert newest.exists()
    assert newest_step(folder) == 1


def test_a_checkpoint_that_only_cannot_be_read_is_not_put_aside() -> None:
    with ordinary_user() as folder:
        _, newest = save(folder, 1, 2)
        (newest / "state.json").chmod(0)
        found = newest_checkpoint(folder)
        assert found is not None
        assert found[0].step == 1
        assert "state.json: cannot be read: Permission denied" in found[1][0].reason
        assert "was passed over" in quarantine(found[1][0])
        (newest / "state.json").chmod(0o600)
        assert newest_step(folder) == 2


def test_a9_a_folder_that_cannot_be_written_keeps_what_it_has() -> None:
    with ordinary_user() as folder:
        save(folder, 1)
        folder.chmod(0o500)
        with pytest.raises(CheckpointError, match=r"step 2 cannot be written: Permission denied"):
            save_checkpoint(folder, make_checkpoint(2))
        assert names(folder) == ["step-000001"]
        folder.chmod(0o700)


def test_a12_a_changed_manifest_is_found(folder: Path) -> None:
    _, newest = save(folder, 1, 2)
    content = (newest / "manifest.json").read_bytes()
    (newest / "manifest.json").write_bytes(content.replace(b'"step":2', b'"step":3'))
    with pytest.raises(DamagedError, match=r"manifest\.json: does not match its own digest"):
        read_checkpoint(newest)
    # A blank more is no other meaning, but other bytes.
    (newest / "manifest.json").write_bytes(content.replace(b'"step":2', b'"step": 2'))
    with pytest.raises(DamagedError):
        read_checkpoint(newest)


def test_a13_all_bad_lists_each_and_why_and_stays_so(folder: Path) -> None:
    first, second = save(folder, 1, 2)
    flip(first / "state.json")
    (second / "manifest.json").unlink()
    for _ in range(2):
        with pytest.raises(CheckpointError) as caught:
            newest_checkpoint(folder)
        assert "no checkpoint is whole" in str(caught.value)
        assert "step-000001/state.json: is changed" in str(caught.value)
        assert "step-000002/manifest.json: is missing" in str(caught.value)
        assert "start a new run" in caught.value.remedy


def test_a13_only_quarantined_ones_left_is_not_a_start_from_zero(folder: Path) -> None:
    first, second = save(folder, 1, 2)
    flip(second / "state.json")
    found = newest_checkpoint(folder)
    assert found is not None
    quarantine(found[1][0])
    shutil.rmtree(first)
    with pytest.raises(CheckpointError, match="put aside as damaged"):
        newest_checkpoint(folder)


def test_a14_saving_the_same_again_writes_nothing(folder: Path) -> None:
    save(folder, 1, 2)
    disk = FailingDisk()
    path = save_checkpoint(folder, make_checkpoint(2), disk=disk)
    assert path == folder / "step-000002"
    # Its name is made durable, for who wrote it may have died before that.
    assert disk.operations == ["make_folder", "sync_folder"]


def test_a14_another_content_for_a_step_is_published_beside_the_old_one(folder: Path) -> None:
    save(folder, 1, 2)
    other = dataclasses.replace(make_checkpoint(2), state={"again": True})
    path = save_checkpoint(folder, other, disk=FAST)
    assert path.name == "step-000002.1"
    found = newest_checkpoint(folder)
    assert found is not None
    assert found[0].state == {"again": True}
    # The older copy of the step is of no use any more; two steps stay.
    assert names(folder) == ["step-000001", "step-000002.1"]


def test_a14_the_newest_content_of_a_step_sorts_last_however_often_it_is_saved(
    folder: Path,
) -> None:
    for number in range(4):
        prints = {"recipe": str(number)}
        changed = dataclasses.replace(make_checkpoint(2), fingerprints=prints)
        path = save_checkpoint(folder, changed, keep=2, disk=FAST)
        assert list_checkpoints(folder)[0] == path
        found = newest_checkpoint(folder)
        assert found is not None and found[0].fingerprints == prints


def test_a14_a_leftover_of_the_same_step_does_not_stop_a_save(folder: Path) -> None:
    folder.mkdir()
    (folder / "step-000002").mkdir()
    (folder / "step-000002" / "weights.safetensors").write_bytes(b"half")
    path = save_checkpoint(folder, make_checkpoint(2), disk=FAST)
    assert path.name == "step-000002.1"
    assert newest_step(folder) == 2


def test_a14_leftovers_of_dead_processes_go_and_those_of_live_ones_stay(folder: Path) -> None:
    folder.mkdir()
    here = Owner.current()
    owners = {
        "live": here,
        "ended": dataclasses.replace(here, pid=2**22 + 1),
        "number used again": dataclasses.replace(here, started=here.started + 1),
        "before a restart": dataclasses.replace(here, boot="0" * 8),
        "other container": dataclasses.replace(here, namespace=here.namespace + 1),
        "other machine": dataclasses.replace(here, host="0" * 8, boot="1" * 8),
    }
    left = {}
    for what, owner in owners.items():
        left[what] = folder / f".saving-{owner}-00ff"
        left[what].mkdir()
        (left[what] / "weights.safetensors").write_bytes(b"half")
    save(folder, 1)
    stayed = {what for what, path in left.items() if path.exists()}
    assert stayed == {"live", "other container", "other machine"}


def test_a18_order_is_by_step_never_by_the_clock(folder: Path) -> None:
    save(folder, 99, 100, 101, keep=3)
    day = 86_400
    for number, path in enumerate(list_checkpoints(folder)):
        os.utime(path, (number * day, number * day))
    assert newest_step(folder) == 101
    save(folder, 102, keep=2)
    assert names(folder) == ["step-000101", "step-000102"]


def test_a18_more_digits_sort_after_fewer(folder: Path) -> None:
    save(folder, 999_999, 1_000_000)
    assert newest_step(folder) == 1_000_000


def test_a19_a_moved_and_a_packed_run_reads_the_same(folder: Path, tmp_path: Path) -> None:
    save(folder, 1, 2)
    packed = tmp_path / "run.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(folder, "run/checkpoints")
    moved = tmp_path / "elsewhere" / "with blanks"
    moved.parent.mkdir()
    folder.rename(moved)
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    for place in (moved, tmp_path / "unpacked" / "run" / "checkpoints"):
        found = newest_checkpoint(place)
        assert found is not None
        assert_same(found[0], make_checkpoint(2))
        save(place, 3)
        assert newest_step(place) == 3
    for file in moved.rglob("*"):
        assert file.is_dir() or str(tmp_path).encode() not in file.read_bytes()


def test_a22_a_later_format_is_refused_and_not_taken_for_damage(folder: Path) -> None:
    _, newest = save(folder, 1, 2)
    sign(newest, format=2, written_by="trainwell 9.1")
    with pytest.raises(NewerFormatError, match=r"was written by trainwell 9\.1 in format 2"):
        newest_checkpoint(folder)


def test_a22_an_unknown_field_is_refused(folder: Path) -> None:
    (path,) = save(folder, 1)
    sign(path, shards=4)
    with pytest.raises(NewerFormatError, match="was written by trainwell"):
        read_checkpoint(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("stem", ["weights", "optimizer", "average", "early_stop"])
def test_b3_weights_that_are_not_finite_are_never_saved(
    folder: Path, number: float, stem: str
) -> None:
    save(folder, 1)
    bad = torch.ones(4, 4)
    bad[2, 1] = number
    broken = Checkpoint(2, {stem: {"fine": torch.ones(2), "conv1.weight": bad}}, {}, {})
    with pytest.raises(CheckpointError, match=r"step 2: conv1\.weight of .* not finite"):
        save_checkpoint(folder, broken, disk=FAST)
    assert names(folder) == ["step-000001"]


def test_b3_an_attention_mask_is_not_taken_for_broken_weights(folder: Path) -> None:
    mask = torch.full((4, 4), float("-inf")).triu(1)
    saved = Checkpoint(1, {"weights": {"mask": mask}}, {}, {})
    found = read_checkpoint(save_checkpoint(folder, saved, disk=FAST))
    assert torch.equal(found.tensors["weights"]["mask"], mask)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"loss": float("nan")}, "not JSON compliant"),
        ({"groups": {0: "a"}}, "the name 0 is not text"),
        ({"model": torch.nn.ReLU()}, "not JSON serializable"),
    ],
)
def test_state_that_json_would_change_is_refused(folder: Path, state: dict, reason: str) -> None:
    with pytest.raises(CheckpointError, match=f"state.json cannot be written: .*{reason}"):
        save_checkpoint(folder, Checkpoint(1, {}, state, {}), disk=FAST)
    assert not folder.exists()


def test_tensors_that_share_memory_are_refused_by_name(folder: Path) -> None:
    weight = torch.ones(3)
    tied = Checkpoint(1, {"weights": {"encoder": weight, "decoder": weight}}, {}, {})
    with pytest.raises(CheckpointError, match=r"weights\.safetensors cannot be written"):
        save_checkpoint(folder, tied, disk=FAST)


def test_a_checkpoint_under_another_steps_name_is_refused(folder: Path) -> None:
    first, _ = save(folder, 1, 2)
    first.rename(folder / "step-000009")
    assert newest_step(folder) == 2


def test_files_of_two_steps_are_never_mixed(folder: Path) -> None:
    first, second = save(folder, 1, 2)
    shutil.copy(first / "weights.safetensors", second / "weights.safetensors")
    with pytest.raises(DamagedError, match=r"weights\.safetensors"):
        verify_checkpoint(second)


def test_a_pipe_or_link_in_the_place_of_a_file_is_neither_followed_nor_waited_for(
    folder: Path, tmp_path: Path
) -> None:
    (path,) = save(folder, 1)
    weights = path / "weights.safetensors"
    shutil.move(weights, tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedError, match="is a link"):
        read_checkpoint(path)
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(DamagedError, match="not a regular file"):
        read_checkpoint(path)


def test_a_reader_meets_a_checkpoint_that_is_rotated_away(folder: Path) -> None:
    """The name is gone between listing and reading: that is no damage."""
    save(folder, 1)
    (folder / "step-000002").symlink_to(folder / "nowhere")
    found = newest_checkpoint(folder)
    assert found is not None
    assert found[0].step == 1
    assert found[1] == []


def test_a17_a_folder_that_is_missing_with_its_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        save_checkpoint(tmp_path / "gone" / "checkpoints", make_checkpoint(1), disk=FAST)
