"""One request to a server and what came of it; the key stays in here."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Self

import httpx

from fer_lab.asking.options import Server
from fer_lab.asking.protocol import Failure, Reply, read_response

_LARGEST = 4_000_000  # bytes of a response
_SHOWN = 300  # characters of what a server says of a failure


class Exchange:
    """Connections to a server, open while its ``async with`` lasts.

    Nothing that comes out of it holds the key, even where the server repeats it.

    Args:
        server: whom to ask.

    Raises:
        ConfigError: when the key is not there.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._key = server.key()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        count = server.concurrency
        limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
        self._http = httpx.AsyncClient(headers=headers, timeout=server.timeout, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def send(self, body: dict[str, Any]) -> Reply | Failure:
        """One request and its response.

        Args:
            body: what is asked.
        """
        found = await self._response(body)
        if isinstance(found, Failure):
            reason = self._clean(found.reason)
            # Cleaned first: the half of a key would not be found.
            short = reason if len(reason) <= _SHOWN else f"{reason[:_SHOWN]} …"
            return replace(found, reason=short)
        model = None if found.model is None else self._clean(found.model)
        return replace(found, text=self._clean(found.text), model=model)

    async def _response(self, body: dict[str, Any]) -> Reply | Failure:
        content = bytearray()
        try:
            async with (
                asyncio.timeout(self._server.timeout),
                self._http.stream("POST", self._server.address, json=body) as response,
            ):
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > _LARGEST:
                        return Failure("a response of more than 4 MB", billed=True)
            return read_response(response.status_code, response.headers, bytes(content))
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return Failure(f"not an address: {error}", final=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Failure(f"no connection: {error}", again=True, unreachable=True)
        except (TimeoutError, httpx.TimeoutException):
            reason = f"no answer within {self._server.timeout:g} s"
            return Failure(reason, again=True, billed=True)
        except httpx.HTTPError as error:
            return Failure(f"connection broken: {error}", again=True, billed=True)

    def _clean(self, text: str) -> str:
        """What a server said, without the key."""
        return text.replace(self._key, "[key]") if self._key else text
