"""Named tensors as the bytes of a safetensors file, and back from bytes that nobody vouches for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from trainwell.training import strict_json

LARGEST_HEADER = 16 * 2**20
MOST_TENSORS = 100_000
MOST_DIMENSIONS = 64
LONGEST_NAME = 4096
METADATA = "__metadata__"
DIGEST = "sha256"
ELEMENT_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}


def encode_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a safetensors file.

    Args:
        tensors: Of any shape and device; none share memory.

    Raises:
        ValueError: Two share memory, a name is reserved, or there are more than can be read back.
    """
    return _encode(tensors, None)


def decode_tensors(content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in host memory.

    Raises:
        ValueError: The file is not what `encode_tensors` could have written.
    """
    check_header(content)
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, KeyError, RuntimeError, AssertionError) as error:
        raise ValueError(str(error)) from error


def encode_signed(tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a safetensors file that holds a digest of its tensors.

    Raises:
        ValueError: As `encode_tensors`.
    """
    return _encode(tensors, {DIGEST: hashlib.sha256(encode_tensors(tensors)).hexdigest()})


def decode_signed(content: bytes) -> dict[str, Tensor]:
    """The tensors that `encode_signed` wrote.

    Raises:
        ValueError: The file is something else, or a byte of it is changed.
    """
    tensors = decode_tensors(content)
    if encode_signed(tensors) != content:
        raise ValueError("does not match its own digest")
    return tensors


def _encode(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None) -> bytes:
    if METADATA in tensors:
        raise ValueError(f"no tensor can be called {METADATA}")
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        content = safetensors.torch.save(held, metadata)
    except (RuntimeError, SafetensorError, KeyError) as error:
        raise ValueError(str(error).strip().splitlines()[0]) from error
    check_header(content)
    return content


def check_header(content: bytes) -> None:
    """Compares the header with the bytes that follow: each belongs to exactly one tensor.

    Raises:
        ValueError: Too long, too many or too deep, a name twice, an unknown type, or offsets that
            overlap, leave gaps or do not fit the shape.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise ValueError("is cut short in its header")
    if length > LARGEST_HEADER:
        raise ValueError(f"has a header of {length} bytes, at most {LARGEST_HEADER} are read")
    header = strict_json.parse(content[8 : 8 + length])
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise ValueError(f"is not a table of at most {MOST_TENSORS} tensors")
    header.pop(METADATA, None)
    spans = sorted(_check_entry(name, entry) for name, entry in header.items())
    end = 0
    for start, stop in spans:
        if start != end:
            raise ValueError("has tensors that overlap or leave a gap")
        end = stop
    if end != len(content) - 8 - length:
        raise ValueError(f"has {len(content) - 8 - length} bytes of tensors, its header says {end}")


def _check_entry(name: str, entry: Any) -> tuple[int, int]:
    if len(name) > LONGEST_NAME:
        raise ValueError(f"has a name of {len(name)} characters")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"does not describe {name!r} as a tensor")
    size = ELEMENT_BYTES.get(str(entry["dtype"]))
    if size is None:
        raise ValueError(f"has an unknown type {str(entry['dtype'])[:40]!r} for {name!r}")
    shape = _check_numbers(name, entry["shape"])
    offsets = _check_numbers(name, entry["data_offsets"])
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * size:
        raise ValueError(f"has offsets that do not fit the shape of {name!r}")
    return offsets[0], offsets[1]


def _check_numbers(name: str, numbers: Any) -> list[int]:
    if not isinstance(numbers, list) or len(numbers) > MOST_DIMENSIONS:
        raise ValueError(f"has a bad shape or offset for {name!r}")
    for number in numbers:
        if type(number) is not int or not 0 <= number < 2**48:
            raise ValueError(f"has a bad shape or offset for {name!r}")
    return numbers
