"""An HTTP API that answers as told, for commands that ask a running relay."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "canary-token"
Answer = tuple[int, Any] | Callable[[], tuple[int, Any]]


class ToldApi:
    """`answers` by method and path, one after the other, the last again and again."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        """Method, path, query, body."""
        self.url = ""

    def tell(self, method: str, path: str, *answers: Any, status: int = 200) -> None:
        """Functions are called when it is asked."""
        told = [answer if callable(answer) else (status, answer) for answer in answers]
        self.answers.setdefault((method, "/api/v1" + path), []).extend(told)

    def refuse(self, method: str, path: str, status: int, detail: str) -> None:
        self.tell(method, path, {"detail": detail}, status=status)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        path = parts.path.removeprefix("/api/v1")
        self.asked.append((method, path, dict(parse_qsl(parts.query)), json.loads(body) if body else None))
        told = self.answers.get((method, parts.path), [(404, {"detail": "there is nothing"})])
        answer = told.pop(0) if len(told) > 1 else told[0]
        return answer() if callable(answer) else answer


@contextmanager
def serving(api: ToldApi) -> Iterator[ToldApi]:
    class Answering(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
            status, told = api.answer(self.command, self.path, body) if allowed else (401, {"detail": "no"})
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the parent's parameter
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
