"""Request bodies as JSON: strictly read, before any of them is looked at."""

from __future__ import annotations

import asyncio
from typing import Final, Self
from urllib.parse import parse_qsl

from pydantic import JsonValue
from starlette.requests import Request

from agentmem.errors import UnsupportedContent
from agentmem.kit.sound_json import malformed, read_json

FORM: Final = "application/x-www-form-urlencoded"
_READ_IN_A_THREAD: Final = 256 * 1024


class JsonRequest(Request):
    """A request whose body is read by :func:`read_body`; its errors are ours, and name the field.

    Where the route takes one, a form is read too, each of its fields a text.
    """

    _is_form: bool = False
    _json: JsonValue

    @classmethod
    def of(cls, request: Request, *, takes_form: bool) -> Self:
        """Give a request to read; a form is JSON for all who read it from here."""
        scope, media = request.scope, request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not takes_form or media != FORM:
            return cls(scope, request.receive)
        others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        made = cls({**scope, "headers": [*others, (b"content-type", b"application/json")]}, request.receive)
        made._is_form = True
        return made

    async def json(self) -> JsonValue:
        """Give the body's value, read once."""
        if not hasattr(self, "_json"):
            check_content_type(self.headers.get("content-type"), self.headers.get("content-encoding"))
            body = await self.body()
            if self._is_form:
                self._json = read_form(body)
                return self._json
            # A large body must not hold up the requests beside it.
            self._json = read_body(body) if len(body) < _READ_IN_A_THREAD else await asyncio.to_thread(read_body, body)
        return self._json


def read_form(body: bytes) -> JsonValue:
    """Read a body as a form; raises :class:`MalformedRequest` unless it is one, each field given once."""
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict")
    except ValueError:
        raise malformed("The body is no form.", "body") from None
    if len(dict(fields)) != len(fields):
        raise malformed("The form has a field twice.", "body")
    return dict[str, JsonValue](fields)


def check_content_type(content_type: str | None, content_encoding: str | None) -> None:
    """Refuse a body that is not plain UTF-8 JSON; raises :class:`UnsupportedContent`."""
    check_encoding(content_encoding)
    media, _, parameters = (content_type or "").partition(";")
    if media.strip().lower() != "application/json":
        raise UnsupportedContent("The body's Content-Type is not application/json.", hint="Send JSON, and say so.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedContent("The body's charset is not utf-8.", hint="JSON is sent as UTF-8.")


def check_encoding(content_encoding: str | None) -> None:
    """Refuse a compressed body, whose true size nobody knows; raises :class:`UnsupportedContent`."""
    if content_encoding is not None and content_encoding.strip().lower() != "identity":
        raise UnsupportedContent("The body is compressed (Content-Encoding).", hint="Send it as it is.")


def read_body(body: bytes) -> JsonValue:
    """Read a body as sound JSON in UTF-8; the errors are those of :func:`read_json`."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8: byte {error.start} is wrong.", "body") from None
    return read_json(text, "body")
