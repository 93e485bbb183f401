"""E-mail addresses as accounts are found by them: one text for all ways to write the same."""

from __future__ import annotations

import unicodedata
from typing import Final, NoReturn

import idna

from agentmem.errors import Fault, InvalidInput

LONGEST: Final = 254
_LONGEST_LOCAL: Final = 64


def canonical(text: str) -> str:
    """Give an address in its one form: NFKC and folded case before the sign, IDNA 2008 after it.

    Raises :class:`InvalidInput` for what is no address that mail can be sent to.
    """
    local, at, domain = unicodedata.normalize("NFKC", text.strip()).rpartition("@")
    if not at or not local or any(c.isspace() or not c.isprintable() or c in '<>"(),:;\\[]@' for c in local):
        _refuse()
    try:
        ascii_domain = idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:  # that of the library is one
        _refuse()
    local = local.casefold()
    if len(local.encode()) > _LONGEST_LOCAL or len(local.encode()) + len(ascii_domain) >= LONGEST:
        _refuse()
    return f"{local}@{ascii_domain}"


def _refuse() -> NoReturn:
    message = "is no e-mail address"
    raise InvalidInput(f"Input is not valid: email: {message}.", faults=[Fault(field="email", message=message)])
