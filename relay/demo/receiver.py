"""The demo's callback receiver: verifies each signature with the Standard Webhooks library and counts messageIds."""

from collections import Counter

import orjson
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Receiver:
    """Answers 200 to what is signed rightly, 401 to anything else."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._runner: web.AppRunner | None = None
        self.received: dict[str, Counter[str]] = {}
        """By kind: how often each messageId was accepted."""
        self.refused = 0
        self.url = ""

    @property
    def accepted(self) -> int:
        return sum(counter.total() for counter in self.received.values())

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hooks/infobip", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/hooks/infobip"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            self._webhook.verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.refused += 1
            return web.Response(status=401)
        kind = request.headers["ce-source"].rsplit("/", 1)[1]
        self.received.setdefault(kind, Counter())[orjson.loads(body)["messageId"]] += 1
        return web.Response()
