"""The list of what a checkpoint holds: with it, every byte is known to be as it was written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainwell.errors import CheckpointError
from trainwell.training import strict_json
from trainwell.training.storage import read_file
from trainwell.version import __version__

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.json"
LARGEST_MANIFEST = 2**20
FILE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\.safetensors|state\.json")
SHA256 = re.compile(r"[0-9a-f]{64}")
FIELDS = ("format", "written_by", "step", "fingerprints", "files")


class DamagedError(CheckpointError):
    """A checkpoint is not as it was written."""


class UnreadableError(CheckpointError):
    """A checkpoint cannot be read at the moment; it may be whole."""


class NewerFormatError(CheckpointError):
    """A checkpoint was written by a later version."""


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint holds.

    Attributes:
        step: Updates made.
        fingerprints: SHA-256 of recipe, model, data and split.
        files: Size in bytes and SHA-256 of each file but the manifest.
        written_by: The version that wrote it.
    """

    step: int
    fingerprints: Mapping[str, str]
    files: Mapping[str, tuple[int, str]]
    written_by: str = f"trainwell {__version__}"

    @classmethod
    def of(cls, step: int, fingerprints: Mapping[str, str], files: Mapping[str, bytes]) -> Manifest:
        """The manifest of files with these contents."""
        described = {
            name: (len(content), hashlib.sha256(content).hexdigest())
            for name, content in files.items()
        }
        return cls(step, dict(fingerprints), described)

    def encode(self) -> bytes:
        """The manifest's own file."""
        return _sign(
            {
                "format": FORMAT,
                "written_by": self.written_by,
                "step": self.step,
                "fingerprints": dict(self.fingerprints),
                "files": {
                    name: {"size": size, "sha256": digest}
                    for name, (size, digest) in self.files.items()
                },
            }
        )


def read_manifest(path: Path) -> Manifest:
    """The manifest in a checkpoint's folder.

    Raises:
        DamagedError: It is missing, or not as it was written.
        NewerFormatError: A later version wrote it.
        UnreadableError: It cannot be read.
    """
    place = path / MANIFEST
    content = _read(place, LARGEST_MANIFEST)
    try:
        fields = strict_json.parse(content)
        unsigned = {name: value for name, value in fields.items() if name != "digest"}
        # Signed again and compared whole: a changed blank or escape is found as well.
        if _sign(unsigned) != content:
            raise ValueError("does not match its own digest")
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedError(str(error), where=str(place)) from error
    _refuse_newer(unsigned, path)
    try:
        return _decode(unsigned)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DamagedError(f"is not a manifest: {error}", where=str(place)) from error


def read_files(path: Path, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a checkpoint, once it proved to be as it was written.

    Raises:
        DamagedError: A file is missing, cut short or changed.
        UnreadableError: A file cannot be read.
    """
    for name, (size, digest) in manifest.files.items():
        content = _read(path / name, size)
        if len(content) != size:
            found = f"is cut short: {len(content)} of {size} bytes"
            raise DamagedError(found, where=str(path / name))
        if hashlib.sha256(content).hexdigest() != digest:
            raise DamagedError("is changed: its SHA-256 is another", where=str(path / name))
        yield name, content


def _read(path: Path, most: int) -> bytes:
    try:
        return read_file(path, most)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedError("is missing", where=str(path)) from error
    except ValueError as error:
        raise DamagedError(str(error), where=str(path)) from error
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _sign(fields: Mapping[str, Any]) -> bytes:
    digest = hashlib.sha256(strict_json.dump(dict(fields))).hexdigest()
    return strict_json.dump({**fields, "digest": digest})


def _refuse_newer(fields: Mapping[str, Any], path: Path) -> None:
    """Only after the digest: a flipped bit in the number is damage, not a later version."""
    number, unknown = fields.get("format"), set(fields) - set(FIELDS)
    if (isinstance(number, int) and number > FORMAT) or unknown:
        raise NewerFormatError(
            f"was written by {fields.get('written_by', 'a later version')} in format {number}; "
            f"this is trainwell {__version__}, which reads up to format {FORMAT}",
            where=str(path),
            remedy="Update trainwell",
        )


def _decode(fields: Mapping[str, Any]) -> Manifest:
    files = {
        name: (_check_count(entry["size"]), _check_digest(entry["sha256"]))
        for name, entry in fields["files"].items()
    }
    strange = [name for name in files if not FILE_NAME.fullmatch(name)]
    if fields["format"] != FORMAT or strange or STATE not in files:
        raise ValueError(f"format {fields['format']!r}, files {', '.join(files)[:200]}")
    prints = {name: str(value) for name, value in fields["fingerprints"].items()}
    return Manifest(_check_count(fields["step"]), prints, files, str(fields["written_by"]))


def _check_count(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is not a count")
    return number


def _check_digest(text: Any) -> str:
    if not isinstance(text, str) or not SHA256.fullmatch(text):
        raise ValueError("not a SHA-256")
    return text
