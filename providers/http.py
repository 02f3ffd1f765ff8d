"""HTTP as every provider is asked: one origin, one deadline, one repetition, and no key in an error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from pydantic import SecretStr
from yarl import URL

from domain.clock import Clock
from providers.answers import Answer
from providers.gate import Gate, OpenGate
from schemas.errors import Malformed, ProviderAway, ProviderError

MASK: Final = "**********"
#: a page of 50,000 bars is 6 MB
MAX_BODY_BYTES: Final = 48 << 20
_CHUNK = 1 << 16

E = TypeVar("E", bound=ProviderError)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    total: float = 15.0
    """Of a request and its repetition together, without the waits at the gate."""
    connect: float = 3.0
    read: float = 10.0
    """Of silence."""
    pause: float = 0.25
    """At most, before a repetition; the actual one is random."""


def segment(symbol: str) -> str:
    """Return a symbol as one segment of a path."""
    return quote(symbol, safe="")


class Http:
    """One session with one provider. Safe for many requests at a time; the first one opens it.

    An answer of status 3xx, 5xx or 408, none at all, HTML, and JSON that is cut off are transient: the
    request is sent once more. Every other answer is returned whatever its status, and so is 5xx the
    second time: who asked knows the provider's words. Redirects are never followed.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        clock: Clock,
        *,
        headers: Mapping[str, SecretStr] | None = None,
        query: Mapping[str, SecretStr] | None = None,
        gate: Gate | None = None,
        timeouts: Timeouts | None = None,
        connections: int = 8,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """Take who is asked and how.

        Args:
            provider: name in errors.
            base_url: origin, and perhaps a path that all paths are below.
            clock: tells the moments of the gate.
            headers: what authenticates, if the provider takes it in headers; of several words
                (``Bearer KEY``) the last is the secret.
            query: the same, if the provider takes it in the query only.
            gate: passed before every request.
            timeouts: of one request.
            connections: open at a time.
            max_body_bytes: of a decompressed answer.
        """
        self.provider = provider
        self.clock = clock
        self.gate = gate or OpenGate()
        self._base = URL(base_url.rstrip("/"), encoded=True)
        self._headers = {name: value.get_secret_value() for name, value in (headers or {}).items()}
        self._query = {name: value.get_secret_value() for name, value in (query or {}).items()}
        self._timeouts = timeouts or Timeouts()
        self._connections = connections
        self._max_body_bytes = max_body_bytes
        self._open: aiohttp.ClientSession | None = None
        words = [words[-1] for v in (*self._headers.values(), *self._query.values()) if (words := v.split())]
        self._secrets = sorted({s for word in words for s in _spellings(word)}, key=len)[::-1]

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Answer:
        """Ask for a path below the base.

        Args:
            path: begins with ``/``; its symbols are made by `segment`.
            params: of the query, not yet quoted.

        Raises:
            ProviderAway: no whole answer, twice.
            Malformed: the answer is larger than any right one.
            RateLimited: the gate says so.
        """
        url = URL(f"{self._base}{path}", encoded=True)
        return await self._twice(url.with_query({name: str(value) for name, value in (params or {}).items()}))

    async def follow(self, url: str) -> Answer:
        """Ask for path and query of a URL that an answer named, of our own origin whatever its host.

        Raises:
            Malformed: it is no URL with a path; also as `get`.
            ProviderAway: as `get`.
            RateLimited: as `get`.
        """
        try:
            named = URL(url, encoded=True)
            path, query = named.raw_path, named.raw_query_string
        except ValueError:
            path = query = ""
        if not path.startswith("/"):
            raise Malformed("next page: not a URL with a path", provider=self.provider)
        target = f"{self._base.origin()}{path}"
        return await self._twice(URL(f"{target}?{query}" if query else target, encoded=True))

    async def close(self) -> None:
        """Close all connections; the next request would open them again."""
        session, self._open = self._open, None
        if session is not None:
            await session.close()

    def block(self, seconds: float) -> None:
        """Let nobody pass the gate for so long."""
        self.gate.block_until(self.clock.monotonic() + seconds)

    def clean(self, error: E) -> E:
        """Mask the key in an error that was made of an answer, and return it."""
        error.args = tuple(self._redact(arg) if isinstance(arg, str) else arg for arg in error.args)
        text = self._redact(error.raw.decode(errors="replace"))
        # what is kept of an answer may end within the key
        for secret in self._secrets:
            cut = next((n for n in range(len(secret) - 1, 3, -1) if text.endswith(secret[:n])), 0)
            text = text[: len(text) - cut]
        error.raw = text.encode()[:512]
        return error

    def _redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    async def _twice(self, url: URL) -> Answer:
        outcome, left = await self._attempt(url, self._timeouts.total)
        pause = self._timeouts.pause * random.uniform(0.2, 1.0)  # noqa: S311 - jitter is no secret
        if not _final(outcome) and left > pause:
            await asyncio.sleep(pause)
            outcome, _ = await self._attempt(url, left - pause)
            if isinstance(outcome, Answer):
                outcome = replace(outcome, requests=2)
        if isinstance(outcome, ProviderAway):
            raise outcome
        return outcome

    async def _attempt(self, url: URL, seconds: float) -> tuple[Answer | ProviderAway, float]:
        """Return what came of it and how many of the seconds are left."""
        await self.gate.pass_()
        now = asyncio.get_running_loop().time
        deadline = now() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._once(url)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            # the exception itself is not kept: it may name the URL, and the URL the key
            said = self._redact(f"{type(exc).__name__}: {exc}".rstrip(": "))
            return ProviderAway(said, provider=self.provider), deadline - now()
        if broken := _broken(answer):
            away = ProviderAway(broken, provider=self.provider, status=answer.status, raw=answer.body)
            return self.clean(away), deadline - now()
        return answer, deadline - now()

    async def _once(self, url: URL) -> Answer:
        if self._query:
            url = url.extend_query(self._query)
        async with self._session().get(url, allow_redirects=False) as response:
            chunks, size = [], 0
            async for chunk in response.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > self._max_body_bytes:
                    raise Malformed(
                        f"body: more than {self._max_body_bytes} bytes",
                        provider=self.provider,
                        status=response.status,
                    )
                chunks.append(chunk)
            return Answer(response.status, response.headers, b"".join(chunks))

    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            self._open = aiohttp.ClientSession(
                headers={**self._headers, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"},
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.read
                ),
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            # aiohttp would send a request again by itself when a kept connection is reset, past the gate
            self._open._retry_connection = False  # noqa: SLF001 - there is no other way
        return self._open


def _spellings(secret: str) -> tuple[str, ...]:
    """Return how a key looks as it is, quoted whole, and as it is sent in a query."""
    return secret, quote(secret, safe=""), URL("http://_").with_query(k=secret).raw_query_string[2:]


def _final(outcome: Answer | ProviderAway) -> bool:
    if isinstance(outcome, ProviderAway):
        return False
    return not (outcome.status >= 500 or 300 <= outcome.status < 400 or outcome.status == 408)


def _broken(answer: Answer) -> str:
    """Return why an answer that says it is a success is none, or nothing; plain text may be a refusal."""
    if not 200 <= answer.status < 300:
        return ""
    head = answer.body[:64].lstrip()[:1]
    if head == b"<":
        return "body: HTML"
    if not head:
        return "body: empty"
    if head in (b"{", b"["):
        try:
            msgspec.json.decode(answer.body, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError) as exc:
            return f"body: not JSON ({exc})"
    return ""
