"""Examples of everything that is sent and answered: by the name of its schema."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

ID: Final = "01936a5e-7b1c-7d3e-9f20-4a5b6c7d8e9f"
OTHER_ID: Final = "01936a5e-8c2d-7e4f-8a31-5b6c7d8e9fa0"
NOW: Final = "2026-11-22T09:30:00Z"
KEY_ID: Final = "4fT9aQ0bZr7K"

MEMORY: Final[dict[str, JsonValue]] = {
    "id": ID,
    "content": "Ada likes green tea",
    "user_id": "ada",
    "agent_id": None,
    "run_id": None,
    "app_id": None,
    "kind": "semantic",
    "role": None,
    "actor": None,
    "origin": "user",
    "authority": "user",
    "metadata": {"topic": "drinks"},
    "importance": 0.5,
    "pinned": False,
    "occurred_at": NOW,
    "created_at": NOW,
    "updated_at": NOW,
    "superseded_at": None,
    "superseded_by": None,
    "expires_at": None,
    "deleted_at": None,
    "version": 1,
}
LIMITS: Final[dict[str, JsonValue]] = {"memories": 1_000_000, "storage_bytes": None, "requests_per_minute": 6000}
ORGANIZATION: Final[dict[str, JsonValue]] = {
    "id": OTHER_ID,
    "name": "Acme",
    "status": "active",
    "status_reason": None,
    "purge_after": None,
    "limits": LIMITS,
    "require_if_match": False,
    "max_key_days": 365,
    "unused_key_days": 90,
    "created_at": NOW,
    "updated_at": NOW,
    "version": 1,
}
MEMBER: Final[dict[str, JsonValue]] = {
    "id": ID,
    "name": "support bot",
    "role": "service",
    "kind": "service",
    "created_by": f"member:{OTHER_ID}",
    "created_at": NOW,
    "disabled_at": None,
    "version": 1,
}
BINDING: Final[dict[str, JsonValue]] = {"user_id": "ada", "agent_id": None, "run_id": None, "app_id": None}
API_KEY: Final[dict[str, JsonValue]] = {
    "id": KEY_ID,
    "name": "ada's assistant",
    "member_id": ID,
    "created_by": OTHER_ID,
    "parent_key_id": None,
    "environment": "live",
    "last_four": "x7Qm",
    "scopes": ["memory:read", "memory:write"],
    "binding": BINDING,
    "networks": ["192.0.2.0/24"],
    "requests_per_minute": 600,
    "created_at": NOW,
    "expires_at": "2027-02-20T09:30:00Z",
    "rotated_from": None,
    "revoked_at": None,
    "revoke_reason": None,
    "last_used_at": None,
    "version": 1,
}
USAGE_DAY: Final[dict[str, JsonValue]] = {
    "day": "2026-11-22",
    "route": "/v1/memories/search",
    "status_class": 2,
    "requests": 1200,
    "cost": 2400,
}
STORAGE: Final[dict[str, JsonValue]] = {"memories": 12, "versions": 15, "content_bytes": 2048}
ENTRY: Final[dict[str, JsonValue]] = {
    "id": OTHER_ID,
    "at": NOW,
    "actor": f"member:{ID}",
    "action": "memory.added",
    "outcome": "done",
    "targets": [ID],
    "detail": {"api_key": KEY_ID, "request_id": "req_01936a5e7b1c7d3e9f204a5b6c7d8e9f"},
}
JOB: Final[dict[str, JsonValue]] = {
    "id": ID,
    "kind": "memory.reembed",
    "state": "running",
    "arguments": {"model": "default"},
    "priority": 0,
    "due_at": NOW,
    "attempts": 1,
    "done": 512,
    "total": 1200,
    "reason": None,
    "asked_by": f"member:{OTHER_ID}",
    "created_at": NOW,
    "started_at": NOW,
    "finished_at": None,
}
INSTANCE: Final[dict[str, JsonValue]] = {
    "id": ID,
    "role": "server",
    "version": "0.1.0",
    "schema_revision": "0005",
    "host": "memory-1",
    "address": "http://127.0.0.1:8080",
    "started_at": NOW,
    "seen_at": NOW,
    "alive": True,
}
WEBHOOK: Final[dict[str, JsonValue]] = {
    "id": ID,
    "url": "https://hooks.example.com/agentmem",
    "types": ["memory.*"],
    "description": "search index",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "old_key_until": None,
    "created_by": f"member:{ID}",
    "created_at": NOW,
    "version": 1,
}
DELIVERY: Final[dict[str, JsonValue]] = {
    "id": ID,
    "webhook_id": ID,
    "message_id": OTHER_ID,
    "type": "memory.added",
    "sequence": 42,
    "state": "delivered",
    "attempts": [{"at": NOW, "status": 204, "error": None, "duration_ms": 38}],
    "created_at": NOW,
    "next_attempt_at": None,
    "ended_at": NOW,
}
SIGNING_KEY: Final = "whsec_<32 bytes in base64>"
SECRET: Final = "amk_live_<id>_<secret>"  # noqa: S105  # what a key looks like, and none
PROBLEM: Final[dict[str, JsonValue]] = {
    "type": "/docs/errors#not_found",
    "title": "There is no such thing, or it belongs to somebody else",
    "status": 404,
    "detail": f"There is no memory {ID}.",
    "instance": "/v1/memories/{memory_id}",
    "code": "not_found",
    "request_id": "req_01936a5e7b1c7d3e9f204a5b6c7d8e9f",
}


def _page(*items: JsonValue) -> dict[str, JsonValue]:
    return {"items": list(items), "next_cursor": "WyI2NDg2YzgxZiIsIjAxOTM2YTVlIl0"}


EXAMPLES: Final[dict[str, dict[str, JsonValue]]] = {
    "AddRequest": {"content": "Ada likes green tea", "user_id": "ada", "metadata": {"topic": "drinks"}},
    "Added": {"memories": [MEMORY], "duplicates": [], "pending": False},
    "ApiKey": API_KEY,
    "ApiKeyPatch": {"name": "ada's old assistant", "scopes": ["memory:read"]},
    "AuditVerification": {"whole": True, "seals": 3, "entries": 250, "unsealed": 2, "problems": []},
    "BatchDelete": {"memories": [{"id": ID, "if_version": 1}]},
    "BatchUpdate": {"changes": [{"id": ID, "importance": 0.9}]},
    "ContextRequest": {"query": "What does Ada drink?", "budget": 500, "scope": {"user_id": "ada"}},
    "CreatedOrganization": {"organization": ORGANIZATION, "key": SECRET, "api_key": API_KEY},
    "Delivery": DELIVERY,
    "Deleted": {"deleted": 3},
    "DoctorRequest": {"repair": False},
    "Health": {"status": "ok", "parts": [{"name": "database", "status": "ok"}], "breakers": {"database": "closed"}},
    "HealthReport": {
        "healthy": True,
        "memories": 12,
        "versions": 15,
        "places": 13,
        "pending_vectors": 0,
        "vectors_compared": 13,
        "findings": [],
        "counts": {},
        "repaired": [],
    },
    "Erasure": {
        "id": ID,
        "subject": "5f0c3b1e9d2a47c88a61f2d0b7e4c935",
        "requested_by": f"member:{OTHER_ID}",
        "requested_at": NOW,
        "finished_at": NOW,
        "removed": {"memories": 12, "memory_versions": 15, "vectors": 0, "stored_answers": 3, "keys": 1},
        "rewritten_at": None,
        "backups_expire_at": "2026-12-22T09:30:00Z",
    },
    "ErasureRequest": {"user_id": "ada"},
    "SubjectState": {"held": True, "restricted": False},
    "SubjectMarks": {"user_id": "ada", "held": False, "restricted": False},
    "Imported": {"imported": 120, "skipped": 3},
    "IssuedKey": {"key": SECRET, "api_key": API_KEY},
    "IssuedWebhook": {"key": SIGNING_KEY, "webhook": WEBHOOK},
    "Items_Change_": {
        "items": [{"version": 1, "change": "added", "changed_by": f"member:{ID}", "changed_at": NOW, "memory": MEMORY}]
    },
    "Items_Instance_": {"items": [INSTANCE]},
    "Items_MemoryRecord_": {"items": [MEMORY]},
    "Items_NearDuplicate_": {
        "items": [
            {
                "first": MEMORY,
                "second": {**MEMORY, "id": OTHER_ID, "content": "Ada likes green teas"},
                "similarity": 0.97,
            }
        ]
    },
    "Items_RoleView_": {
        "items": [{"role": "viewer", "permissions": ["memory:read", "organization:read", "usage:read"]}]
    },
    "Items_UsageDay_": {"items": [USAGE_DAY]},
    "JobRecord": JOB,
    "KeyRotation": {"overlap_seconds": 3600},
    "LeakOutcome": {"accepted": True},
    "LeakReport": {"key": SECRET, "found_at": "https://git.example/acme/app/blob/main/.env"},
    "Life": {"status": "ok"},
    "ListRequest": {"scope": {"user_id": "ada"}, "filters": {"kind": "semantic"}, "limit": 50},
    "Me": {
        "organization_id": OTHER_ID,
        "organization": "Acme",
        "principal": f"member:{ID}",
        "member_id": ID,
        "role": "service",
        "api_key_id": KEY_ID,
        "permissions": ["memory:read", "memory:write"],
        "binding": BINDING,
        "expires_at": "2027-02-20T09:30:00Z",
        "limits": LIMITS,
    },
    "Member": MEMBER,
    "MemberPatch": {"role": "viewer"},
    "MemoryPatch": {"content": "Ada likes white tea", "importance": 0.8},
    "MemoryRecord": MEMORY,
    "NewApiKey": {"name": "ada's assistant", "scopes": ["memory:read"], "binding": {"user_id": "ada"}},
    "NewMember": {"name": "support bot", "role": "service"},
    "NewWebhook": {"url": "https://hooks.example.com/agentmem", "types": ["memory.*"]},
    "NewOrganization": {"name": "Acme", "limits": {"memories": 1_000_000}},
    "Organization": ORGANIZATION,
    "OrganizationLimits": LIMITS,
    "OrganizationPatch": {"max_key_days": 180},
    "KeyInventory": {
        "keys": [
            {
                "key_id": ID,
                "purpose": "data",
                "provider": "aws",
                "master_key_id": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                "created_at": NOW,
                "retired_at": None,
                "values": {"memories": 120, "index_entries": 100},
                "subject_keys": 40,
            }
        ],
        "subject_keys": 40,
        "subject_values": {"memories": 4000, "index_entries": 3600},
        "active_master_key_id": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    },
    "MasterKeyRotation": {"master_key_id": "9a4c1a3e-3a52-4a58-9df4-fd0f8c5f0f61"},
    "OrderedJob": {"job_id": ID},
    "PackedContext": {
        "text": "[1] 2026-11-22 09:30 Ada likes green tea",
        "tokens": 14,
        "budget": 500,
        "citations": [{"marker": 1, "memory_id": ID, "occurred_at": NOW, "score": 0.91}],
        "left_out": 0,
        "degraded": None,
    },
    "Page_ApiKey_": _page(API_KEY),
    "Page_AuditEntry_": _page(ENTRY),
    "Page_EntitySeen_": _page({"id": "ada", "memories": 12, "first_seen": NOW, "last_seen": NOW}),
    "Page_JobRecord_": _page(JOB),
    "Page_Member_": _page(MEMBER),
    "Page_MemoryRecord_": _page(MEMORY),
    "Page_Organization_": _page(ORGANIZATION),
    "Page_Delivery_": _page(DELIVERY),
    "Page_Webhook_": _page(WEBHOOK),
    "PinRequest": {"pinned": True},
    "Problem": PROBLEM,
    "ReembedRequest": {"model": "default"},
    "Reembedded": {"model": "all-minilm-l6-v2-int8@bca37a4a", "embedded": 1200},
    "Rotation": {"overlap_seconds": 3600},
    "SearchRequest": {"query": "What does Ada drink?", "scope": {"user_id": "ada"}, "limit": 5},
    "SearchResults": {
        "hits": [{"memory": MEMORY, "score": 0.91, "signals": None}],
        "timings": {"embed_ms": 3.1, "database_ms": 2.4, "rank_ms": 0.8, "rerank_ms": 0.0, "total_ms": 6.3},
        "degraded": None,
    },
    "Stats": {
        "memories": 12,
        "deleted": 1,
        "pinned": 0,
        "versions": 15,
        "users": 2,
        "agents": 0,
        "runs": 1,
        "kinds": {"semantic": 12},
        "earliest": NOW,
        "latest": NOW,
        "pending_vectors": 0,
    },
    "StoreInfo": {
        "versions": {
            "agentmem": "0.1.0",
            "python": "3.11.7",
            "postgresql": "18.6",
            "pgvector": "0.8.1",
            "schema_revision": "0005",
        },
        "organization": "Acme",
        "organization_id": OTHER_ID,
        "server": "embedded",
        "data_directory": None,
        "socket_directory": None,
        "embedding_model": "all-minilm-l6-v2-int8@bca37a4a",
        "embedding_dimensions": 384,
        "memories": 12,
        "deleted_memories": 1,
        "memory_versions": 15,
        "users": 2,
        "pending_vectors": 0,
        "database_bytes": 0,
        "key_provider": "file",
        "master_key_ids": [],
        "keys": [],
        "settings": {},
    },
    "Suspension": {"reason": "invoice unpaid"},
    "UsageReport": {"storage": STORAGE, "limits": LIMITS, "days": [USAGE_DAY]},
    "VacuumRequest": {"purge_after_days": 30},
    "Vacuumed": {
        "purged_memories": 3,
        "removed_idempotency_keys": 12,
        "packed_terms": 0,
        "vectors_moved_to_graph": 0,
        "bytes_before": 0,
        "bytes_after": 0,
    },
    "Webhook": WEBHOOK,
    "WebhookPatch": {"types": ["memory.added", "memory.deleted"]},
}

LINES: Final = {
    "events": 'id: 42\nevent: memory.added\ndata: {"id":"01936a5e-8c2d-7e4f-8a31-5b6c7d8e9fa0","sequence":42}\n\n',
    "export": '{"format":1,"thread":1,"versions":[...]}\n',
    "export_audit": '{"id":"01936a5e-8c2d-7e4f-8a31-5b6c7d8e9fa0","action":"memory.added"}\n',
    "import_": '"Ada likes green tea"\n{"role":"user","content":"I like tea","name":"Ada"}\n',
    "metrics": "agentmem_http_in_flight 1.0\n",
}
"""Examples of what is no JSON, by operation."""
