"""Which process something belongs to, and whether that process still runs."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PATTERN = r"(\d+)-(\d+)-(\d+)-([0-9a-f]{8})-([0-9a-f]{8})"


@dataclass(frozen=True)
class Owner:
    """One process, told apart from any other on any machine that shares a disk.

    Attributes:
        pid: Its number.
        started: When it started, in clock ticks since the machine did; 0 where unknown. Tells it
            from a later process with the same number.
        namespace: Of process numbers: the same number in two containers is two processes.
        boot: Digest of the machine's present start; of nothing where unknown.
        host: Digest of the machine's name.
    """

    pid: int
    started: int
    namespace: int
    boot: str
    host: str

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(pid, _start_of(pid) or 0, _namespace(), _digest(boot_id()), _digest(host()))

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner that `str` gave; None where the text is something else."""
        match = re.fullmatch(PATTERN, text)
        if match is None:
            return None
        return cls(int(match[1]), int(match[2]), int(match[3]), match[4], match[5])

    def __str__(self) -> str:
        return f"{self.pid}-{self.started}-{self.namespace}-{self.boot}-{self.host}"

    def state(self) -> Literal["live", "dead", "unknown"]:
        """Whether the process runs; unknown where it cannot be seen from here."""
        here = Owner.current()
        if self.boot != here.boot:
            return "dead" if self.host == here.host else "unknown"
        if self.namespace != here.namespace or (not boot_id() and self.host != here.host):
            return "unknown"
        return "live" if _runs(self.pid, self.started) else "dead"


@functools.cache
def boot_id() -> str:
    """Tells one start of the machine from the next; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def host() -> str:
    """The machine's name."""
    return socket.gethostname()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _namespace() -> int:
    try:
        return int(re.sub(r"\D", "", os.readlink("/proc/self/ns/pid")) or 0)
    except OSError:
        return 0


def _start_of(pid: int) -> int | None:
    """Clock ticks at the start of a process; None when there is none, or it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command stands in brackets and may hold blanks and brackets itself.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _runs(pid: int, started: int) -> bool:
    if Path("/proc/self/stat").exists():
        return _start_of(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
