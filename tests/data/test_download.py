"""Downloads: verified, resumed, safely extracted; from a real server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainwell.data.download import DOWNLOADS, RemoteData, RemoteFile, fetch
from trainwell.errors import DataError

CONTENT = bytes(range(256)) * 4000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves files with ranges; breaks off after `most` bytes of an answer."""

    files: dict[str, bytes] = {}  # noqa: RUF012
    most: int | None = None
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range", "")
        self.asked.append(asked)
        start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", asked)) else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = None if self.most is None else start + self.most
        self.wfile.write(content[start:stop])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Server], str]]:
    handler = type("Handler", (Server,), {"files": {"/data.bin": CONTENT}, "asked": []})
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{listening.server_address[1]}"
    listening.shutdown()
    thread.join()
    listening.server_close()


def remote(address: str, content: bytes = CONTENT, name: str = "data.bin") -> RemoteData:
    digest = hashlib.md5(content).hexdigest()
    return RemoteData("set", (RemoteFile(f"{address}/{name}", "md5", digest, name),))


def test_a_download_is_verified_and_kept(server: tuple[type[Server], str], tmp_path: Path) -> None:
    handler, address = server
    folder = fetch(remote(address), tmp_path)
    assert (folder / "data.bin").read_bytes() == CONTENT
    assert fetch(remote(address), tmp_path) == folder
    assert len(handler.asked) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_broken_connection_loses_nothing_that_has_come(
    server: tuple[type[Server], str], tmp_path: Path
) -> None:
    handler, address = server
    handler.most = 300_000
    for _ in range(3):
        with pytest.raises(DataError, match="what has come is kept"):
            fetch(remote(address), tmp_path)
    handler.most = None
    folder = fetch(remote(address), tmp_path)
    assert (folder / "data.bin").read_bytes() == CONTENT
    assert handler.asked == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_another_file_than_the_published_one_is_refused_and_removed(
    server: tuple[type[Server], str], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="published is"):
        fetch(remote(server[1], content=b"other"), tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_an_address_that_is_gone_is_one_clear_error(
    server: tuple[type[Server], str], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"cannot be downloaded: .*404"):
        fetch(remote(server[1], name="nothing.bin"), tmp_path)


def test_an_archive_is_extracted_and_one_that_climbs_out_is_not(
    server: tuple[type[Server], str], tmp_path: Path
) -> None:
    handler, address = server
    (tmp_path / "a.txt").write_text("hello")
    for name, inner in (("good.tar.gz", "folder/a.txt"), ("evil.tar.gz", "../a.txt")):
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            archive.add(tmp_path / "a.txt", inner)
        handler.files[f"/{name}"] = (tmp_path / name).read_bytes()
    good = remote(address, handler.files["/good.tar.gz"], "good.tar.gz")
    assert (fetch(good, tmp_path / "c") / "folder" / "a.txt").read_text() == "hello"
    evil = remote(address, handler.files["/evil.tar.gz"], "evil.tar.gz")
    with pytest.raises(DataError, match="outside"):
        fetch(evil, tmp_path / "d")
    assert not (tmp_path / "d" / "set").exists()


def test_every_known_data_set_has_addresses_and_checksums() -> None:
    assert set(DOWNLOADS) == {"mnist", "fashion-mnist", "cifar10", "cifar100", "svhn"}
    for data in DOWNLOADS.values():
        for file in data.files:
            assert re.match(r"https?://", file.address)
            assert len(file.checksum) == hashlib.new(file.algorithm).digest_size * 2
