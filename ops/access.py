"""Who may ask: on loopback whoever is on this machine, beyond it whoever has the token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address

#: Whoever supervises a worker has no token: these say only whether it lives and works.
OPEN_PATHS = frozenset({"/livez", "/readyz"})
CHALLENGES = ('Basic realm="tapeflow", charset="UTF-8"', 'Bearer realm="tapeflow"')

_LOOPBACK_HOST = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    code: HTTPStatus
    detail: str
    challenges: tuple[str, ...] = ()
    """Values of ``WWW-Authenticate``."""


class Access:
    """The rule for every request of one server."""

    def __init__(self, addresses: Sequence[str], token: str) -> None:
        """Take every address the server may be bound to, and the token (empty: there is none)."""
        self.loopback = bool(addresses) and all(map(is_loopback, addresses))
        self._digest = _digest(token) if token else None

    def refusal(
        self,
        path: str,
        hosts: Sequence[str],
        authorization: str | None,
        *,
        changes: bool = False,
        origin: str | None = None,
        fetch_site: str | None = None,
    ) -> Refusal | None:
        """Return why not, or None.

        Args:
            path: decoded path of the request.
            hosts: every ``Host`` header.
            authorization: the ``Authorization`` header.
            changes: whether the method is one that changes something: then the token is a must.
            origin: the ``Origin`` header.
            fetch_site: the ``Sec-Fetch-Site`` header.
        """
        # a page from elsewhere whose name was bound to 127.0.0.1 still says its own name here
        if self.loopback and not (len(hosts) == 1 and _LOOPBACK_HOST.fullmatch(hosts[0])):
            return Refusal(
                HTTPStatus.MISDIRECTED_REQUEST, "this server answers to localhost and 127.0.0.1 only"
            )
        if changes:
            # a browser sends remembered credentials along with what a page from elsewhere makes it send
            if not _same_origin(origin, fetch_site, hosts):
                return Refusal(HTTPStatus.FORBIDDEN, "a page from elsewhere changes nothing here")
            if self._digest is None:
                return Refusal(
                    HTTPStatus.FORBIDDEN, "nothing is changed without OPS_TOKEN being set for the worker"
                )
        elif self.loopback or path in OPEN_PATHS:
            return None
        if self._digest is None:
            return Refusal(
                HTTPStatus.FORBIDDEN, "beyond loopback nothing is shown without OPS_TOKEN being set"
            )
        given = _token(authorization)
        if given is not None and hmac.compare_digest(_digest(given), self._digest):
            return None
        detail = "send the token as `Authorization: Bearer <token>`, or as the password of HTTP Basic"
        return Refusal(HTTPStatus.UNAUTHORIZED, detail, CHALLENGES)


def is_loopback(address: str) -> bool:
    """Say whether only this machine reaches the address; a name other than localhost is not trusted."""
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _same_origin(origin: str | None, fetch_site: str | None, hosts: Sequence[str]) -> bool:
    if fetch_site not in (None, "same-origin", "none"):
        return False
    return origin is None or (len(hosts) == 1 and origin.partition("://")[2].lower() == hosts[0].lower())


def _token(authorization: str | None) -> str | None:
    """Return what the header offers as token: the whole of Bearer, the password of Basic."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
