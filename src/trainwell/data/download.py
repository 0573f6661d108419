"""Known data sets: address, checksum, resumable download, safe extraction."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from trainwell.data.formats.archives import extract, is_archive
from trainwell.errors import DataError

CHUNK = 2**20
TIMEOUT = 60.0


@dataclass(frozen=True)
class RemoteFile:
    """A file to be fetched.

    Attributes:
        address: Where from.
        algorithm: Of the checksum, as its makers publish it.
        checksum: In hexadecimal.
        name: Of the file when stored.
    """

    address: str
    algorithm: str
    checksum: str
    name: str


@dataclass(frozen=True)
class RemoteData:
    """A data set to be fetched.

    Attributes:
        name: Of its folder in the cache.
        files: All are needed.
    """

    name: str
    files: tuple[RemoteFile, ...]


def _idx_files(base: str, checksums: tuple[str, str, str, str]) -> tuple[RemoteFile, ...]:
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    pairs = zip(names, checksums, strict=True)
    return tuple(RemoteFile(base + name, "md5", checksum, name) for name, checksum in pairs)


DOWNLOADS: dict[str, RemoteData] = {
    "mnist": RemoteData(
        "mnist",
        _idx_files(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        ),
    ),
    "fashion-mnist": RemoteData(
        "fashion-mnist",
        _idx_files(
            "https://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
    ),
    "cifar10": RemoteData(
        "cifar10",
        (
            RemoteFile(
                "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                "md5",
                "c58f30108f718f92721af3b95e74349a",
                "cifar-10-python.tar.gz",
            ),
        ),
    ),
    "cifar100": RemoteData(
        "cifar100",
        (
            RemoteFile(
                "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                "md5",
                "eb9058c3a382ffc7106e4002c42a8d85",
                "cifar-100-python.tar.gz",
            ),
        ),
    ),
    "svhn": RemoteData(
        "svhn",
        (
            RemoteFile(
                "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
                "md5",
                "e26dedcc434d2e4c54c9b2d4a06d8373",
                "train_32x32.mat",
            ),
            RemoteFile(
                "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
                "md5",
                "eb5a983be6a315427106f1b164d9cef3",
                "test_32x32.mat",
            ),
        ),
    ),
}


def cache_folder() -> Path:
    """Where data sets are kept: `TRAINWELL_CACHE`, else the user's cache folder."""
    given = os.environ.get("TRAINWELL_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainwell"


def fetch(data: RemoteData, cache: Path | None = None) -> Path:
    """The folder of a data set, downloaded unless it is there.

    Args:
        data: What to fetch.
        cache: Where data sets are kept; None: `cache_folder()`.

    Raises:
        DataError: No connection, or what came is not what its makers published.
    """
    folder = (cache or cache_folder()) / data.name
    if folder.is_dir():
        return folder
    work = folder.with_name(f".{folder.name}.partial")
    try:
        work.mkdir(parents=True, exist_ok=True)
        for file in data.files:
            download(file, work / file.name)
        ready = _unpack(data, work)
        ready.rename(folder)
        shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"cannot be downloaded: {error}",
            where=data.name,
            remedy="Try again: what has come is kept. Or give a path to the files",
        ) from error
    return folder


def download(file: RemoteFile, path: Path) -> None:
    """Fetches one file; a part that is there already is not fetched again.

    Raises:
        DataError: Its checksum is another one; then it is removed.
        OSError: The connection or the disk failed; the part stays.
    """
    part = path.with_name(path.name + ".part")
    if path.exists():
        return
    _fetch_rest(file.address, part)
    digest = hashlib.new(file.algorithm, usedforsecurity=False)
    with part.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != file.checksum:
        part.unlink()
        raise DataError(
            f"its {file.algorithm} is {digest.hexdigest()}, published is {file.checksum}",
            where=file.address,
            remedy="Try again; if it stays so, the address does not give the real file",
        )
    part.rename(path)


def _fetch_rest(address: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            # A server that does not know ranges sends everything.
            continues = response.status == 206
            expected = response.headers.get("Content-Length")
            received = 0
            with part.open("ab" if continues else "wb") as out:
                while chunk := response.read(CHUNK):
                    received += len(chunk)
                    out.write(chunk)
            if expected is not None and received < int(expected):
                raise OSError(f"the connection broke after {received} of {expected} bytes")
    except urllib.error.HTTPError as error:
        # "Range not satisfiable": all bytes are there.
        if error.code != 416:
            raise


def _unpack(data: RemoteData, work: Path) -> Path:
    """The folder to publish: the files as they are, or what their archive holds."""
    content = work / "content"
    shutil.rmtree(content, ignore_errors=True)
    archives = [work / f.name for f in data.files if is_archive(work / f.name)]
    if archives:
        extract(archives[0], content)
        return content
    content.mkdir()
    for file in data.files:
        (work / file.name).rename(content / file.name)
    return content
