"""Decodes pictures of an untrusted file into bytes of red, green and blue, or of grey."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from trainwell.data.naming import name_some
from trainwell.data.raw import Corrupt
from trainwell.errors import DataError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 50_000_000
NAMED = 10
MOST_SKIPPED = 0.05
"""Share of damaged pictures beyond which it is not a few: something else is wrong."""
GREY_MODES = ("1", "L")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L")


@dataclass(frozen=True)
class Picture:
    """A source of one picture.

    Attributes:
        name: For messages.
        read: Gives the bytes of the file.
    """

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Decoded:
    """Pictures in one tensor.

    Attributes:
        images: `(K, C, H, W)` uint8.
        kept: `(K,)` int64, the place of each among the sources.
        notes: What was done to them.
    """

    images: Tensor
    kept: Tensor
    notes: list[str]


def decode_pictures(
    pictures: Sequence[Picture],
    where: str,
    corrupt: Corrupt = "fail",
    like: tuple[int, ...] | None = None,
) -> Decoded:
    """Decodes all pictures.

    Every picture is decoded now, so that none can fail in mid-training. Grey if all are grey, else
    red, green, blue. Pictures of another size than the commonest are resized to it.

    Args:
        pictures: Their sources.
        where: For messages.
        corrupt: `"skip"` leaves out what cannot be read, up to 5 % of all, and says so in a note.
        like: `(C, H, W)` of the training, to which all are brought; None finds out.

    Raises:
        DataError: There are none; or some are damaged, too large, of 16 bits or of a format that is
            not allowed: names them all, up to `NAMED`.
    """
    if not pictures:
        raise DataError("there are no pictures", where=where, remedy="Add some")
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        decoded = list(pool.map(_decode_or_explain, pictures))
    failed = [found for found in decoded if isinstance(found, str)]
    named = name_some(failed, NAMED, "; ")
    if failed and (corrupt == "fail" or len(failed) > MOST_SKIPPED * len(pictures)):
        remedy = "Replace or remove them, or leave them out with corrupt='skip' (--corrupt skip)"
        if corrupt == "skip":
            remedy = f"At most {MOST_SKIPPED:.0%} are skipped: replace or remove them"
        raise DataError(
            f"{len(failed)} of {len(pictures)} pictures cannot be used: {named}",
            where=where,
            remedy=remedy,
        )
    kept = [place for place, found in enumerate(decoded) if not isinstance(found, str)]
    readable = [found for found in decoded if not isinstance(found, str)]
    images, notes = _stack(readable, like or _commonest_form(readable))
    if failed:
        notes.append(f"{len(failed)} of {len(pictures)} pictures were skipped: {named}")
    return Decoded(images, torch.tensor(kept), notes)


def _decode_or_explain(picture: Picture) -> numpy.ndarray | str:
    from PIL.Image import DecompressionBombError

    try:
        return decode_picture(picture.read())
    except (OSError, ValueError, SyntaxError, DecompressionBombError, EOFError) as error:
        return f"{picture.name} ({error})"


def decode_picture(content: bytes) -> numpy.ndarray:
    """One picture as `(H, W)` grey or `(H, W, 3)` bytes, turned as its EXIF says.

    Of an animation, the first frame.

    Raises:
        ValueError, OSError: Damaged, too large, of 16 bits, or of a format that is not allowed.
    """
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width} × {image.height} is more than {MOST_PIXELS} pixels")
        if image.mode in DEEP_MODES:
            raise ValueError(f"16 bits or more a channel ({image.mode}): convert it to 8 bits")
        image.load()
        turned = ImageOps.exif_transpose(image)
        mode = "L" if turned.mode in GREY_MODES else "RGB"
        return numpy.asarray(turned.convert(mode))


def _commonest_form(arrays: Sequence[numpy.ndarray]) -> tuple[int, ...]:
    """`(C, H, W)`: colour where one picture has it, and the size that most have."""
    sizes = Counter(a.shape[:2] for a in arrays)
    # Equal counts: the smaller size, whatever the order of the files.
    size = min(sizes, key=lambda s: (-sizes[s], s))
    return 3 if any(a.ndim == 3 for a in arrays) else 1, *size


def _stack(arrays: Sequence[numpy.ndarray], form: tuple[int, ...]) -> tuple[Tensor, list[str]]:
    channels, *rest = form
    size = (rest[0], rest[1])
    together = numpy.empty((len(arrays), *size, channels), dtype=numpy.uint8)
    for index, array in enumerate(arrays):
        fitted = _as_grey(array) if channels == 1 else array
        fitted = fitted if fitted.shape[:2] == size else _resize(fitted, size)
        together[index] = fitted[:, :, None] if fitted.ndim == 2 else fitted
    images = torch.from_numpy(together).permute(0, 3, 1, 2).contiguous()
    return images, _describe_changes(arrays, channels, size)


def _describe_changes(
    arrays: Sequence[numpy.ndarray], channels: int, size: tuple[int, int]
) -> list[str]:
    notes = []
    if channels == 3 and any(a.ndim == 2 for a in arrays):
        notes.append("grey pictures were given equal red, green and blue")
    coloured = sum(a.ndim == 3 for a in arrays)
    if channels == 1 and coloured:
        notes.append(f"{coloured} coloured pictures were turned to grey")
    others = sum(a.shape[:2] != size for a in arrays)
    if others:
        notes.append(f"{others} pictures were resized to {size[0]} × {size[1]}")
    return notes


def _as_grey(array: numpy.ndarray) -> numpy.ndarray:
    from PIL import Image

    return array if array.ndim == 2 else numpy.asarray(Image.fromarray(array).convert("L"))


def _resize(array: numpy.ndarray, size: tuple[int, int]) -> numpy.ndarray:
    from PIL import Image

    return numpy.asarray(Image.fromarray(array).resize((size[1], size[0]), Image.Resampling.BOX))
