"""E1, E2, E4: nothing that is read can run code; hostile files are refused in bounded memory."""

from __future__ import annotations

import ast
import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.training.disks import FAST, make_checkpoint, memory_folder
from trainwell.errors import CheckpointError
from trainwell.training import strict_json
from trainwell.training.checkpoint import DamagedError, read_checkpoint, save_checkpoint
from trainwell.training.manifest import FORMAT, read_manifest
from trainwell.training.tensor_file import (
    LARGEST_HEADER,
    decode_signed,
    decode_tensors,
    encode_signed,
    encode_tensors,
)

SOURCE = Path(__file__).parents[2] / "src"
UNPICKLER = "data/formats/cifar.py"
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"torch.load", "yaml.load", "yaml.unsafe_load", "pickle.load", "pickle.loads", "os.system"}


def find_unsafe(source: str, may_unpickle: bool = False) -> list[str]:
    """What in a source file could run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom) and not may_unpickle:
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"import {name}" for name in names if name.split(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS or called in ("eval", "exec", "builtins.eval"):
                found.append(called)
            found += [
                "allow_pickle"
                for keyword in node.keywords
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
            ]
    return found


def test_e2_no_source_file_unpickles_or_evaluates() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 30
    found = {
        str(path): unsafe
        for path in files
        if (unsafe := find_unsafe(path.read_text(), path.as_posix().endswith(UNPICKLER)))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import Unpickler",
        "import torch\ntorch.load('x')",
        "import numpy\nnumpy.load('x', allow_pickle=True)",
        "eval('1')",
        "import yaml\nyaml.load('x')",
        "from joblib import load",
    ],
)
def test_e2_the_search_finds_what_it_looks_for(source: str) -> None:
    assert find_unsafe(source)
    assert not find_unsafe("model.eval()\nnumpy.load('x', allow_pickle=False)")


class Bomb:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_e1_a_pickle_in_the_place_of_weights_is_refused_and_not_run(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "checkpoints", make_checkpoint(1), disk=FAST)
    ran = tmp_path / "ran"
    (path / "weights.safetensors").write_bytes(pickle.dumps(Bomb(ran)))
    for _ in range(2):
        with pytest.raises(DamagedError):
            read_checkpoint(path)
        assert not ran.exists()
        # The second time with digests that fit: whoever can write the folder can do that.
        sign(path, describe(path))
    pickle.loads(pickle.dumps(Bomb(ran)))
    assert ran.exists(), "the bomb is no bomb"


def describe(path: Path) -> dict[str, Any]:
    """The fields of a manifest for whatever is in a folder."""
    files = {
        file.name: {
            "size": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in sorted(path.iterdir())
        if file.name != "manifest.json"
    }
    fields = {"format": FORMAT, "written_by": "x", "step": 1, "fingerprints": {}}
    return {**fields, "files": files}


def sign(path: Path, fields: dict[str, Any]) -> None:
    digest = hashlib.sha256(strict_json.dump(fields)).hexdigest()
    (path / "manifest.json").write_bytes(strict_json.dump({**fields, "digest": digest}))


def with_header(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else strict_json.dump(header)
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str, shape: Any, start: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HOSTILE = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "huge length": struct.pack("<Q", 2**63) + b"{}",
    "all ones": b"\xff" * 64,
    "long header": struct.pack("<Q", LARGEST_HEADER + 1) + b" " * (LARGEST_HEADER + 1),
    "not an object": with_header([]),
    "not text": with_header(b"\xff\xfe"),
    "deep": with_header(b"[" * 200_000),
    "deep but valid": with_header(b'{"a":' * 100 + b"1" + b"}" * 100),
    "name twice": with_header(
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"x",
    ),
    "overlap": with_header({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"xyz"),
    "gap": with_header({"a": entry("U8", [1], 1, 2)}, b"xy"),
    "too much data": with_header({"a": entry("U8", [1], 0, 1)}, b"xy"),
    "too little data": with_header({"a": entry("U8", [9], 0, 9)}, b"xy"),
    "shape does not fit": with_header({"a": entry("F32", [2], 0, 4)}, b"wxyz"),
    "shape overflows": with_header({"a": entry("U8", [2**32, 2**32], 0, 0)}),
    "negative": with_header({"a": entry("U8", [-1], 1, 0)}),
    "backwards": with_header({"a": entry("U8", [0], 5, 5)}),
    "fractions": with_header({"a": entry("U8", [1.0], 0, 1)}, b"x"),
    "truth for a number": with_header({"a": entry("U8", [True], 0, 1)}, b"x"),
    "unknown type": with_header({"a": entry("OBJECT", [1], 0, 1)}, b"x"),
    "no shape": with_header({"a": {"dtype": "U8", "data_offsets": [0, 1]}}, b"x"),
    "more fields": with_header({"a": {**entry("U8", [1], 0, 1), "x": 1}}, b"x"),
    "many dimensions": with_header({"a": entry("U8", [1] * 100, 0, 1)}, b"x"),
    "long name": with_header({"a" * 5000: entry("U8", [1], 0, 1)}, b"x"),
    "huge integer": with_header(b'{"a":' + b"9" * 5000 + b"}"),
    "infinity": with_header(b'{"a":1e999}'),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_e4_a_hostile_header_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_tensors(HOSTILE[what])


def test_e4_too_many_tensors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode_tensors({str(number): torch.zeros(1) for number in range(20)})
    monkeypatch.setattr("trainwell.training.tensor_file.MOST_TENSORS", 19)
    with pytest.raises(ValueError, match="at most 19 tensors"):
        decode_tensors(content)


@pytest.mark.parametrize("what", HOSTILE)
def test_e4_a_hostile_header_with_right_digests_is_damage(what: str, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "checkpoints", make_checkpoint(1), disk=FAST)
    (path / "weights.safetensors").write_bytes(HOSTILE[what])
    sign(path, describe(path))
    with pytest.raises(DamagedError, match=r"weights\.safetensors"):
        read_checkpoint(path)


NUMBERS = st.integers(-1, 9) | st.integers(0, 2**70) | st.none() | st.floats() | st.text(max_size=2)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "F32", "BF16", "BOOL", "F8_E4M3", "F4", "X"]),
        "shape": st.lists(NUMBERS, max_size=3),
        "data_offsets": st.lists(NUMBERS, max_size=3),
    }
)


def decodes_or_refuses(content: bytes) -> None:
    try:
        tensors = decode_tensors(content)
    except ValueError:
        return
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    assert held <= len(content)


@given(st.binary(max_size=200))
def test_e4_random_bytes_are_decoded_or_refused(content: bytes) -> None:
    decodes_or_refuses(content)


@given(st.dictionaries(st.text(max_size=3), ENTRIES, max_size=3), st.binary(max_size=40))
def test_e4_random_headers_are_decoded_or_refused(header: dict[str, Any], data: bytes) -> None:
    try:
        content = with_header(strict_json.finite(header), data)
    except ValueError:
        return
    decodes_or_refuses(content)


@given(st.data())
def test_e4_changed_files_are_decoded_or_refused(data: st.DataObject) -> None:
    content = bytearray(encode_tensors(make_checkpoint(1, size=2).tensors["weights"]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    decodes_or_refuses(bytes(content))
    decodes_or_refuses(bytes(content[:cut]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = ["format", "written_by", "step", "fingerprints", "files"]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | st.dictionaries(st.text(), JSON))
def test_e4_any_signed_manifest_is_read_or_refused(fields: dict[str, Any]) -> None:
    with memory_folder() as path:
        sign(path, {"format": FORMAT, "written_by": "x", "step": 1, "fingerprints": {}, **fields})
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "name", ["../state.json", "/etc/passwd", "a/b.safetensors", "x.pt", "A.safetensors", ""]
)
def test_e12_a_manifest_cannot_name_a_file_outside_its_folder(tmp_path: Path, name: str) -> None:
    path = save_checkpoint(tmp_path / "checkpoints", make_checkpoint(1), disk=FAST)
    fields = describe(path)
    fields["files"][name] = {"size": 1, "sha256": "0" * 64}
    sign(path, fields)
    with pytest.raises(DamagedError, match="is not a manifest"):
        read_manifest(path)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * 65 + b"]" * 65,
        b"\xff",
        b"{} {}",
        b"",
        b"9" * 5000,
    ],
)
def test_e4_json_that_is_not_plain_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        strict_json.parse(text)


@given(JSON)
def test_plain_json_comes_back_the_same(value: Any) -> None:
    assert strict_json.parse(strict_json.dump(value)) == value


def test_signed_tensors_come_back_and_unsigned_ones_do_not() -> None:
    tensors = {"mean": torch.arange(3.0), "scale": torch.ones(2, 2, dtype=torch.float64)}
    found = decode_signed(encode_signed(tensors))
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    with pytest.raises(ValueError, match="own digest"):
        decode_signed(encode_tensors(tensors))
