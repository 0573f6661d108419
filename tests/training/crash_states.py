"""Every state that a power loss can leave, from a record of file operations.

Pillai et al. 2014, "All file systems are not created equal" (ALICE). Nothing is assumed of the file
system but what POSIX promises: a synced file has its bytes, a synced folder has its names, and one
rename within a folder happens or does not. Of everything else any part may be lost, in any order.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.training.disks import FastDisk

MOST_CHOICES = 256
ROOT = 0

Tree = dict[str, Any]
"""A folder: its names, each with a `Tree` or the bytes of a file."""


class RecordingDisk(FastDisk):
    """Does every operation and keeps it in a record, by number of file or folder.

    Args:
        root: The folder under which everything happens; what is in it is on disk already.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.record: list[tuple[Any, ...]] = []
        self.nodes: dict[Path, int] = {root: ROOT}
        self.open: dict[int, int] = {}
        self.fresh = itertools.count(ROOT + 1)
        for path in sorted(root.rglob("*")):
            self._link(path)
            node = self.nodes[path]
            if path.is_file():
                self.record.append(("write", node, 0, path.read_bytes()))
                self.record.append(("sync", node))
        self.record += [("sync", node) for node in self.nodes.values()]

    def report(self, fact: Any) -> None:
        """Says at this point that something is safe on disk."""
        self.record.append(("report", fact))

    def _link(self, path: Path) -> None:
        self.nodes[path] = next(self.fresh)
        kind = "folder" if path.is_dir() else "file"
        self.record.append(("link", self.nodes[path.parent], path.name, self.nodes[path], kind))

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self._link(path)

    def open_new(self, path: Path) -> int:
        descriptor = super().open_new(path)
        self._link(path)
        self.open[descriptor] = self.nodes[path]
        return descriptor

    def open_log(self, path: Path) -> int:
        is_new = not path.exists()
        descriptor = super().open_log(path)
        if is_new:
            self._link(path)
        self.open[descriptor] = self.nodes[path]
        return descriptor

    def write(self, descriptor: int, content: memoryview) -> int:
        start = os.fstat(descriptor).st_size
        written = super().write(descriptor, content)
        kept = bytes(content[:written])
        self.record.append(("write", self.open[descriptor], start, kept))
        return written

    def truncate(self, descriptor: int, size: int) -> None:
        super().truncate(descriptor, size)
        self.record.append(("truncate", self.open[descriptor], size))

    def sync(self, descriptor: int) -> None:
        self.record.append(("sync", self.open[descriptor]))

    def sync_folder(self, path: Path) -> None:
        self.record.append(("sync", self.nodes[path]))

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        moved = self.nodes[old]
        self.record.append(("rename", self.nodes[old.parent], old.name, new.name, moved))
        for path in [p for p in self.nodes if p == old or old in p.parents]:
            self.nodes[new / path.relative_to(old)] = self.nodes.pop(path)

    def remove_file(self, path: Path) -> None:
        super().remove_file(path)
        self._unlink(path)

    def remove_folder(self, path: Path) -> None:
        super().remove_folder(path)
        self._unlink(path)

    def _unlink(self, path: Path) -> None:
        node = self.nodes.pop(path)
        self.record.append(("unlink", self.nodes[path.parent], path.name, node))


@dataclass
class DiskModel:
    """What is surely on disk, and what may be: operations in order, by file or folder."""

    kinds: dict[int, str] = field(default_factory=lambda: {ROOT: "folder"})
    bytes: dict[int, bytes] = field(default_factory=dict)
    names: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    pending: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict)

    def apply(self, operation: tuple[Any, ...]) -> None:
        """Takes in one operation of the record."""
        kind, node, *rest = operation
        if kind == "link":
            _, linked, what = rest
            self.kinds[linked] = what
            if what == "folder":
                self.names[linked] = {}
            else:
                self.bytes[linked] = b""
        if kind == "sync":
            for waiting in self.pending.pop(node, []):
                self._settle(node, waiting)
        else:
            self.pending.setdefault(node, []).append(operation)

    def _settle(self, node: int, operation: tuple[Any, ...]) -> None:
        if self.kinds[node] == "folder":
            self.names[node] = change_names(self.names[node], operation)
            if operation[0] == "unlink":
                # What is left to do in something that is gone does not matter.
                self.pending.pop(operation[3], None)
        else:
            self.bytes[node] = change_bytes(self.bytes[node], operation)

    def states(self, chance: random.Random) -> Iterator[Tree]:
        """Every tree that may be found; a sample of them where there are very many."""
        nodes = list(self.pending)
        choices = [self._choices(node) for node in nodes]
        count = 1
        for offered in choices:
            count *= len(offered)
        if count <= MOST_CHOICES:
            drawn: Any = itertools.product(*choices)
        else:
            drawn = [[chance.choice(c) for c in choices] for _ in range(MOST_CHOICES)]
            drawn += [[c[0] for c in choices], [c[-1] for c in choices]]
        for choice in drawn:
            yield self._tree(ROOT, dict(zip(nodes, choice, strict=True)))

    def _choices(self, node: int) -> list[Any]:
        waiting = self.pending[node]
        if self.kinds[node] == "file":
            return possible_bytes(self.bytes[node], waiting)
        found = []
        for size in range(len(waiting) + 1):
            for kept in itertools.combinations(waiting, size):
                names = self.names[node]
                for operation in kept:
                    names = change_names(names, operation)
                if names not in found:
                    found.append(names)
        return found

    def _tree(self, node: int, chosen: dict[int, Any]) -> Tree:
        tree: Tree = {}
        for name, inner in sorted(chosen.get(node, self.names[node]).items()):
            if self.kinds[inner] == "folder":
                tree[name] = self._tree(inner, chosen)
            else:
                tree[name] = chosen.get(inner, self.bytes[inner])
        return tree


def change_names(names: dict[str, int], operation: tuple[Any, ...]) -> dict[str, int]:
    """A folder's names after one operation."""
    kind, _, name, *rest = operation
    changed = {other: node for other, node in names.items() if other != name}
    if kind == "link":
        changed[name] = rest[0]
    if kind == "rename":
        new, moved = rest
        changed[new] = moved
    return changed


def change_bytes(content: bytes, operation: tuple[Any, ...]) -> bytes:
    """A file's bytes after one operation."""
    if operation[0] == "truncate":
        return content[: operation[2]].ljust(operation[2], b"\0")
    _, _, start, written = operation
    return content[:start].ljust(start, b"\0") + written + content[start + len(written) :]


def possible_bytes(content: bytes, waiting: list[tuple[Any, ...]]) -> list[bytes]:
    """What a file may hold: each operation done or lost, the last one torn, or only its size."""
    found = [content]
    for size in range(1, min(len(waiting), 4) + 1):
        for kept in itertools.combinations(waiting[-4:], size):
            changed = content
            for operation in [*waiting[:-4], *kept]:
                changed = change_bytes(changed, operation)
            found.append(changed)
    whole = content
    for operation in waiting[:-1]:
        whole = change_bytes(whole, operation)
    kind, node, start, *written = waiting[-1]
    if kind == "write":
        size = len(written[0])
        # At both ends, at sectors, and in between.
        for cut in sorted({1, size - 1, *range(0, size, 512), *range(0, size, size // 8 + 1)}):
            if 0 < cut < size:
                found.append(change_bytes(whole, (kind, node, start, written[0][:cut])))
        found.append(change_bytes(whole, (kind, node, start, bytes(len(written[0])))))
    return list(dict.fromkeys(found))


def crash_states(record: list[tuple[Any, ...]]) -> Iterator[tuple[list[Any], Tree]]:
    """Each different state after a power loss at any operation, with what was reported by then."""
    model, reported, seen = DiskModel(), [], set()
    chance = random.Random(0)
    is_begun = False
    for operation in record:
        if operation[0] == "report":
            reported.append(operation[1])
            is_begun = True
        else:
            model.apply(operation)
        # Before the first report, the record only says what was there.
        if not is_begun:
            continue
        for tree in model.states(chance):
            key = (len(reported), freeze(tree))
            if key not in seen:
                seen.add(key)
                yield list(reported), tree


def freeze(tree: Tree) -> tuple[Any, ...]:
    """Something to compare trees by."""
    return tuple(
        (name, freeze(inner) if isinstance(inner, dict) else inner)
        for name, inner in sorted(tree.items())
    )


def build(tree: Tree, place: Path) -> None:
    """Makes a tree real."""
    place.mkdir(mode=0o700)
    for name, inner in tree.items():
        if isinstance(inner, dict):
            build(inner, place / name)
        else:
            (place / name).write_bytes(inner)


def read_tree(place: Path) -> Tree:
    """The tree that is really there."""
    return {
        path.name: read_tree(path) if path.is_dir() else path.read_bytes()
        for path in place.iterdir()
    }
