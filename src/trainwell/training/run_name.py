"""Names of run folders: for people, safe on any file system, never the same twice."""

from __future__ import annotations

import datetime
import os
import re
import unicodedata

# Windows keeps these for devices, with any ending.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
LONGEST = 60


def unique_name(name: str) -> str:
    """A folder name for people, with a random suffix that keeps it unique.

    Args:
        name: Anything; what a file system could mistake is replaced.
    """
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return f"{slug(name)}-{now}-{os.urandom(5).hex()}"


def slug(name: str) -> str:
    """Lower-case letters, digits, dots and dashes; never empty, hidden or a device's name.

    Args:
        name: Of any length; letters with accents lose them, other signs become dashes.
    """
    plain = unicodedata.normalize("NFKD", name[: 4 * LONGEST]).encode("ascii", "ignore").decode()
    text = re.sub(r"[^a-z0-9.]+", "-", plain.lower())
    text = re.sub(r"\.{2,}", ".", text).strip("-.")[:LONGEST].strip("-.")
    if not text or RESERVED.match(text):
        return f"run-{text}".rstrip("-")
    return text
