"""Recordings of calls: files that the source itself serves, read in pieces, as often as it takes."""

from collections.abc import Awaitable, Callable

import aiohttp
from yarl import URL

from relay.config import SecretUnreadable
from relay.domain.recordings import MAX_RECORDING_BYTES, Failure
from relay.domain.retry import parse_retry_after
from relay.sources.account import Account
from relay.sources.exchange import described
from relay.sources.infobip import wall_clock_ms

TOTAL_SECONDS = 300.0
SILENCE_SECONDS = 30.0
GONE = 410


class InfobipRecordings:
    """Reads recordings of one account. Implements ports.RecordingSource.

    Only what lies at the scheme, host and port of `base_url` is asked for, as credentials go along; redirects are not
    followed. The address that was checked is the one that is asked: it is parsed once.
    """

    def __init__(
        self, account: Account, now_ms: Callable[[], int] = wall_clock_ms, *, max_bytes: int = MAX_RECORDING_BYTES
    ) -> None:
        self._account = account
        self._now_ms = now_ms
        self._max_bytes = max_bytes

    async def fetch_recording(self, url: str, write: Callable[[bytes], Awaitable[None]]) -> Failure | None:
        """One GET; `write` gets the pieces of a good answer. None: all of it came. Raises what `write` raises."""
        address = own_address(url, self._account.base_url)
        if isinstance(address, Failure):
            return address
        try:
            return await self._download(address, write)
        except _NotWritten as stopped:
            raise stopped.error from None
        except (aiohttp.ClientError, SecretUnreadable, OSError, ValueError) as error:
            return Failure(described(error))

    async def _download(self, address: URL, write: Callable[[bytes], Awaitable[None]]) -> Failure | None:
        session, authorization, proxy = self._account.connection()
        async with session.get(
            address,
            headers={"Accept": "audio/wav, */*;q=0.1", "Accept-Encoding": "identity", "Authorization": authorization},
            proxy=proxy,
            timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_read=SILENCE_SECONDS),
            allow_redirects=False,
        ) as response:
            failure = self._refusal(response)
            return failure if failure is not None else await self._copy(response, write)

    def _refusal(self, response: aiohttp.ClientResponse) -> Failure | None:
        """Why the answer holds no recording, as far as its head tells."""
        if response.status != 200:
            asked = parse_retry_after(response.headers.get("Retry-After"), now_ms=self._now_ms())
            return Failure(f"the source answered {response.status}", response.status == GONE, asked)
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in {"identity", ""}:
            return Failure("the answer is encoded although that was not asked for")
        if (response.content_length or 0) > self._max_bytes:
            return self._too_large()
        return None

    async def _copy(
        self, response: aiohttp.ClientResponse, write: Callable[[bytes], Awaitable[None]]
    ) -> Failure | None:
        received_bytes = 0
        while piece := await response.content.readany():
            received_bytes += len(piece)
            if received_bytes > self._max_bytes:
                return self._too_large()
            try:
                await write(piece)
            except Exception as error:
                raise _NotWritten(error) from error
        return None

    def _too_large(self) -> Failure:
        return Failure(f"the recording is larger than {self._max_bytes} bytes", final=True)


def own_address(url: str, base_url: str) -> URL | Failure:
    """The address to ask, if it is one of the source's own: the same scheme, host and port, nobody to log in as."""
    try:
        address = URL(url)
        origin = address.origin()
    except ValueError:
        return Failure("the recording's address is no absolute URL", final=True)
    if address.user is not None or address.password is not None:
        return Failure("the recording's address holds credentials: refused", final=True)
    own = URL(base_url)
    if (address.scheme, address.host, address.port) != (own.scheme, own.host, own.port):
        return Failure(f"the recording lies at {origin}, which is not the source's own host: refused", final=True)
    return address


class _NotWritten(Exception):
    """Not the source's fault."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
