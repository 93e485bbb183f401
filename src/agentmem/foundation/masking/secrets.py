"""Keys, tokens and passwords, by their shapes: they need no proof, for whatever looks like one is better not shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agentmem.foundation.masking.port import Found

_KIND: Final = "secret"
_SHAPES: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"am[a-z]_[0-9A-Za-z_-]{20,512}+"  # our own keys, tokens and signing keys
    r"|whsec_[0-9A-Za-z+/=]{16,256}+"
    r"|eyJ[0-9A-Za-z_-]{8,4096}+\.[0-9A-Za-z_-]{8,8192}+(?:\.[0-9A-Za-z_-]{0,4096}+){0,3}+"  # JWT and JWE
    r"|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![0-9A-Za-z])"  # AWS
    r"|gh[oprsu]_[0-9A-Za-z]{36,255}+|github_pat_[0-9A-Za-z_]{22,255}+"
    r"|glpat-[0-9A-Za-z_-]{20,255}+"
    r"|xox[abeoprs]-[0-9A-Za-z-]{10,255}+|xapp-[0-9A-Za-z-]{10,255}+"  # Slack
    r"|sk-[0-9A-Za-z_-]{20,255}+|[rs]k_(?:live|test)_[0-9A-Za-z]{16,255}+"  # OpenAI and others; Stripe
    r"|AIza[0-9A-Za-z_-]{35}"  # Google
    r"|AGE-SECRET-KEY-1[0-9A-Z]{58}"
    r")"
    r"|-----BEGIN [0-9A-Z ]{1,40}+-----[^-]{0,16384}+(?:-----END [0-9A-Z ]{1,40}+-----)?"  # PEM
)
_NAMED: Final = re.compile(
    r"(?i)(?<![0-9a-z])"
    r"(?:bearer[ ]{1,4}+"
    r"|(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|密码|口令)[\"']?[ ]{0,4}+[=:：][ ]{0,4}+[\"']?)"
    r"(?P<value>[0-9A-Za-z._~+/=!@#$%^&*-]{8,512}+)"
)
_IN_URL: Final = re.compile(r"://[^\s/:@]{0,128}+:(?P<value>[^\s/@]{1,256}+)@")
_HOOK: Final = re.compile(r"hooks\.slack\.com/services/(?P<value>[0-9A-Za-z/]{20,128}+)")


class Secrets:
    """Recognises keys, tokens, private keys, and passwords in URLs or behind their names."""

    def find(self, text: str) -> Iterator[Found]:
        """Find every secret; of one behind its name the value alone."""
        for match in _SHAPES.finditer(text):
            yield Found(start=match.start(), end=match.end(), kind=_KIND)
        for pattern in (_NAMED, _IN_URL, _HOOK):
            for match in pattern.finditer(text):
                yield Found(start=match.start("value"), end=match.end("value"), kind=_KIND)
