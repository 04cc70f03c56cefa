"""Server on this machine that misbehaves on request."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILE = "published.pt"


class Server(ThreadingHTTPServer):
    """Server of one content under every path except those of `contents`.

    `cuts` holds, for each coming answer, the number of bytes after which the connection is closed; paths in
    `silent` are never answered; `headers` are those of every answer.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.contents, self.tag = b"", {}, '"first"'
        self.cuts, self.ranges, self.headers = [], [], {}
        self.supports_ranges, self.status = True, 200
        self.silent, self.missing, self.asked = set(), set(), []
        self._released = threading.Event()

    @property
    def root(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self):
        return f"{self.root}/files/{FILE}?download=1"

    def wait(self):
        """Say nothing until the server is closed."""
        self._released.wait(30)

    def release(self):
        self._released.set()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        self.server.asked.append(self.path)
        self.answer(with_body=True)

    def answer(self, with_body):
        server, asked = self.server, self.headers.get("Range")
        if self.path in server.silent:
            server.wait()
            return
        if server.status != 200 or self.path in server.missing:
            self.send_error(404 if self.path in server.missing else server.status)
            return
        content = server.contents.get(self.path, server.content)
        start = 0
        if asked and server.supports_ranges and self.headers.get("If-Range") == server.tag:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))
            if start >= len(content):
                self.send_error(416)
                return
        body = content[start:]
        self.send_response(206 if start else 200)
        if self.path.endswith("/"):
            self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        if server.tag:
            self.send_header("ETag", server.tag)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    """Run a server until the block ends."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release()
        server.shutdown()
        server.server_close()
        thread.join()
