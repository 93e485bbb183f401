"""Examples of what is sent and answered about keys and persons; by the name of its schema."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

from agentmem.entrypoints.api.examples_common import ID, NOW, OTHER_ID

MASTER_KEY: Final[dict[str, JsonValue]] = {"id": "9a4c1a3e-3a52-4a58-9df4-fd0f8c5f0f61", "active": True, "wraps": 24}
CUSTODY_EXAMPLES: Final[dict[str, dict[str, JsonValue]]] = {
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
    "Items_MasterKeyState_": {"items": [MASTER_KEY]},
    "MasterKeyName": {"master_key_id": "9a4c1a3e-3a52-4a58-9df4-fd0f8c5f0f61"},
    "MasterKeyState": MASTER_KEY,
    "MasterKeyRotation": {"master_key_id": "9a4c1a3e-3a52-4a58-9df4-fd0f8c5f0f61"},
    "RetentionReport": {
        "rules": [{"rule": {"days": 90, "kind": "working", "scope": {}}, "memories": 120, "kept": 3}],
        "job_id": None,
    },
    "RetentionRequest": {"dry_run": True},
    "SubjectMarks": {"user_id": "ada", "held": False, "restricted": False},
    "SubjectState": {"held": True, "restricted": False},
}
