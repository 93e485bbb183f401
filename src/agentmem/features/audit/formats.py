"""Audit entries as lines of an export: JSON, ArcSight's Common Event Format, or the Open Cybersecurity Schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

from agentmem.kit.ids import OrganizationId
from agentmem.schemas.audit import AuditEntry, AuditFormat

_PRODUCT: Final = "AgentMem"
_SEVERITY: Final[Mapping[str, int]] = MappingProxyType({"done": 3, "failed": 5, "denied": 7})
"""Of CEF, from 0 to 10."""

_API_ACTIVITY: Final = 6003
_APPLICATION_ACTIVITY: Final = 6
_OTHER: Final = 99
_ACTIVITIES: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("added", "created", "imported", "registered", "invited"), 1),
        **dict.fromkeys(("read",), 2),
        **dict.fromkeys(("updated", "promoted", "restored", "rotated", "renamed", "rolled_back"), 3),
        **dict.fromkeys(("deleted", "purged", "revoked", "tainted", "erased"), 4),
    }
)
"""Of OCSF: create, read, update, delete; what is none of them is 99."""


def line_of(entry: AuditEntry, organization_id: OrganizationId, form: AuditFormat) -> str:
    """Write one entry as a line."""
    return _WRITERS[form](entry, organization_id)


def _jsonl(entry: AuditEntry, _organization_id: OrganizationId) -> str:
    return entry.model_dump_json()


def _cef(entry: AuditEntry, organization_id: OrganizationId) -> str:
    head = (_PRODUCT, _PRODUCT, version("agentmem"), entry.action, entry.action, str(_SEVERITY[entry.outcome]))
    fields = {
        "rt": str(_milliseconds(entry)),
        "externalId": str(entry.id),
        "suser": entry.actor,
        "outcome": entry.outcome,
        "cs1Label": "organization",
        "cs1": str(organization_id),
        "cs2Label": "targets",
        "cs2": ",".join(map(str, entry.targets)),
        "cs3Label": "detail",
        "cs3": json.dumps(entry.detail, sort_keys=True, separators=(",", ":")),
    }
    return f"CEF:0|{'|'.join(map(_in_head, head))}|{' '.join(f'{key}={_in_field(fields[key])}' for key in fields)}"


def _in_head(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").splitlines())


def _in_field(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return "\\n".join(escaped.splitlines())


def _ocsf(entry: AuditEntry, organization_id: OrganizationId) -> str:
    activity = _ACTIVITIES.get(entry.action.partition(".")[2], _OTHER)
    event = {
        "activity_id": activity,
        "category_uid": _APPLICATION_ACTIVITY,
        "class_uid": _API_ACTIVITY,
        "type_uid": _API_ACTIVITY * 100 + activity,
        "time": _milliseconds(entry),
        "severity_id": 1 if entry.outcome == "done" else 3,
        "status_id": 1 if entry.outcome == "done" else 2,
        "status": entry.outcome,
        "status_code": entry.detail.get("code"),
        "metadata": {
            "version": "1.3.0",
            "product": {"name": _PRODUCT, "vendor_name": _PRODUCT, "version": version("agentmem")},
            "uid": str(entry.id),
            "tenant_uid": str(organization_id),
        },
        "actor": {"user": {"uid": entry.actor}},
        "api": {"operation": entry.action, "request": {"uid": entry.detail.get("request_id", "")}},
        "src_endpoint": {"uid": entry.detail.get("api_key", entry.actor)},
        "resources": [{"uid": str(target)} for target in entry.targets],
        "unmapped": entry.detail,
    }
    return json.dumps({key: value for key, value in event.items() if value is not None}, separators=(",", ":"))


def _milliseconds(entry: AuditEntry) -> int:
    return int(entry.at.timestamp() * 1000)


_WRITERS: Final[Mapping[AuditFormat, Callable[[AuditEntry, OrganizationId], str]]] = MappingProxyType(
    {AuditFormat.JSONL: _jsonl, AuditFormat.CEF: _cef, AuditFormat.OCSF: _ocsf}
)
