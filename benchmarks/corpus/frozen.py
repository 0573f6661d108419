"""What was frozen: the digest of each file that a program's training depends on, and the halves.

python -m benchmarks.corpus.frozen    # writes frozen.json anew; see README.md for when
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmarks.corpus.program import split_halves
from benchmarks.corpus.programs import PROGRAMS

HERE = Path(__file__).parent
RECORD = HERE / "frozen.json"
SHARED = (
    "architectures.py",
    "data.py",
    "further_architectures.py",
    "further_tasks.py",
    "loop.py",
    "more_architectures.py",
    "more_tasks.py",
    "networks.py",
    "realistic_architectures.py",
    "realistic_tasks.py",
    "tasks.py",
    "training.py",
)


def describe() -> dict[str, Any]:
    """The corpus as it is now, as plain JSON types."""
    families = {f"programs/{program.family}.py" for program in PROGRAMS.values()}
    halves = split_halves(list(PROGRAMS.values()))
    return {
        "files": {name: digest(HERE / name) for name in sorted({*SHARED, *families})},
        "halves": dict(sorted(halves.items())),
    }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


if __name__ == "__main__":
    RECORD.write_text(json.dumps(describe(), indent=1) + "\n", encoding="utf-8")
