"""The download of a file over HTTP: it goes on where it ended, and what came wrong is not kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from dualperturb.datasets.raw.download import download
from dualperturb.errors import UserError

CONTENT = bytes(range(256)) * 4000
SUM = hashlib.md5(CONTENT).hexdigest()
WITHOUT = "link it"


class Server(ThreadingHTTPServer):
    """Sends CONTENT, from the byte that is asked for if `ranges`, and at most `most` bytes of it."""

    ranges, most = True, len(CONTENT)
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.server.most])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/a.tar.gz"


def test_a_file_comes_whole_and_once(server: Server, tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    for _ in range(2):
        download(url(server), tmp_path / "a", SUM, WITHOUT, lambda *counts: shown.append(counts))
    assert (tmp_path / "a").read_bytes() == CONTENT and list(tmp_path.iterdir()) == [tmp_path / "a"]
    assert server.asked == [None] and shown[-1] == (len(CONTENT) // 2**20,) * 2


def test_a_download_that_ended_early_goes_on(server: Server, tmp_path: Path) -> None:
    server.most = 300_000
    for there in (300_000, 600_000):
        line = rf"a\.tar\.gz: cannot be downloaded \(ended after {there} of {len(CONTENT)} bytes\); run again"
        with pytest.raises(UserError, match=line):
            download(url(server), tmp_path / "a", SUM, WITHOUT)
        assert not (tmp_path / "a").exists() and (tmp_path / "a.part").stat().st_size == there
    server.most = len(CONTENT)
    download(url(server), tmp_path / "a", SUM, WITHOUT)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]


def test_a_server_that_sends_whole_files_alone_is_asked_for_all_of_it(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(CONTENT[:1000])
    server.ranges = False
    download(url(server), tmp_path / "a", SUM, WITHOUT)
    assert (tmp_path / "a").read_bytes() == CONTENT and server.asked == ["bytes=1000-"]


def test_a_run_that_ended_before_the_check_downloads_nothing_more(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(CONTENT)
    download(url(server), tmp_path / "a", SUM, WITHOUT)
    assert (tmp_path / "a").read_bytes() == CONTENT and not (tmp_path / "a.part").exists()


def test_what_came_wrong_is_begun_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"other")
    with pytest.raises(UserError, match=rf"MD5 sum \w+; accepted: {SUM}; run again, or link it"):
        download(url(server), tmp_path / "a", SUM, WITHOUT)
    assert list(tmp_path.iterdir()) == []
    download(url(server), tmp_path / "a", SUM, WITHOUT)
    assert server.asked == ["bytes=5-", None]


def test_an_absent_host_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be downloaded \(.*refused.*\); run again to go on, or"):
        download("http://127.0.0.1:1/a", tmp_path / "a", SUM, WITHOUT)
    assert list(tmp_path.iterdir()) == []
