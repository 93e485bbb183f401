"""What pydantic found wrong, in words that may be shown."""

from __future__ import annotations

from pydantic import ValidationError

from agentmem.errors import Fault


def fault_list(error: ValidationError) -> list[Fault]:
    """List the fields at fault and what is wrong with each, never their values."""
    return [
        Fault(field=".".join(map(str, fault["loc"])) or "value", message=fault["msg"].removeprefix("Value error, "))
        for fault in error.errors(include_input=False, include_url=False)
    ]


def faults_of(error: ValidationError) -> str:
    """Say in one line which fields are at fault and what is wrong with each, never their values."""
    return "; ".join(f"{fault.field}: {fault.message}" for fault in fault_list(error))
