"""Lines of an exported trail: nothing in an entry can end a field, a line or an event early."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from agentmem.features.audit.formats import line_of
from agentmem.kit.ids import OrganizationId, uuid7
from agentmem.schemas.audit import AuditEntry, AuditFormat

ORGANIZATION = OrganizationId(uuid7())


def entry(**changed: object) -> AuditEntry:
    values = {
        "id": uuid7(),
        "at": datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
        "actor": "member:1",
        "action": "memory.deleted",
        "outcome": "done",
        "targets": [uuid7()],
        "detail": {"api_key": "0123456789ab", "request_id": "req_1"},
    }
    return AuditEntry.model_validate({**values, **changed})


def test_cef_escapes_what_would_end_a_field_or_a_line() -> None:
    line = line_of(entry(actor="a=b\\c\nCEF:0|x", action="x|y\\z"), ORGANIZATION, AuditFormat.CEF)

    assert "|x\\|y\\\\z|" in line
    assert "suser=a\\=b\\\\c\\nCEF:0|x " in line
    assert "\n" not in line


def test_ocsf_names_activity_status_and_time() -> None:
    done = json.loads(line_of(entry(), ORGANIZATION, AuditFormat.OCSF))
    denied = json.loads(
        line_of(
            entry(outcome="denied", action="key.x", detail={"code": "permission_denied"}),
            ORGANIZATION,
            AuditFormat.OCSF,
        )
    )

    assert (done["activity_id"], done["type_uid"], done["status_id"]) == (4, 600304, 1)
    assert done["time"] == 1795339800000
    assert done["src_endpoint"] == {"uid": "0123456789ab"}
    assert (denied["activity_id"], denied["status_id"], denied["status_code"]) == (99, 2, "permission_denied")


def test_jsonl_is_the_entry_as_the_api_gives_it() -> None:
    given = entry()

    assert AuditEntry.model_validate_json(line_of(given, ORGANIZATION, AuditFormat.JSONL)) == given
