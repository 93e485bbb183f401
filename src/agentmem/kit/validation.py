"""What pydantic found wrong, in words that may be shown."""

from __future__ import annotations

from pydantic import ValidationError


def faults_of(error: ValidationError) -> str:
    """List the fields at fault and what is wrong with each, never their values."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'value'}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_input=False, include_url=False)
    )
