"""A server that lists a bucket of any size, made up page by page: what a real one would take an hour to be filled with.

It answers `ListObjectVersions` as MinIO does for a bucket without versions, and knows nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
_VERSION = (
    "<Version><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{number:032x}&quot;</ETag>"
    "<Size>1</Size><StorageClass>STANDARD</StorageClass><VersionId>null</VersionId><IsLatest>true</IsLatest></Version>"
)


class Listing(ThreadingHTTPServer):
    """`count` objects; `pages` counts the pages that were asked for."""

    daemon_threads = True

    def __init__(self, count: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.count = count
        self.pages = 0

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listing

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "versions" not in query:
            self._answer(403, "<Error><Code>AccessDenied</Code><Message>only listings here</Message></Error>")
            return
        self.server.pages += 1
        marker = query.get("key-marker", [""])[0]
        start = int(marker.removeprefix("part-")) + 1 if marker else 0
        end = min(start + PAGE, self.server.count)
        rows = "".join(_VERSION.format(key=_key(number), number=number) for number in range(start, end))
        more = end < self.server.count
        following = f"<NextKeyMarker>{_key(end - 1)}</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>"
        self._answer(
            200,
            '<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>big</Name><Prefix></Prefix>'
            f"<MaxKeys>{PAGE}</MaxKeys><EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{following if more else ''}{rows}</ListVersionsResult>",
        )

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def _key(number: int) -> str:
    return f"part-{number:08}"


@contextmanager
def listing(count: int) -> Iterator[Listing]:
    """A bucket of so many objects, for as long as the block lasts."""
    server = Listing(count)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
