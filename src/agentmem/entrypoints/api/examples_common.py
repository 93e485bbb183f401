"""What the examples have in common."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

ID: Final = "01936a5e-7b1c-7d3e-9f20-4a5b6c7d8e9f"
OTHER_ID: Final = "01936a5e-8c2d-7e4f-8a31-5b6c7d8e9fa0"
NOW: Final = "2026-11-22T09:30:00Z"
KEY_ID: Final = "4fT9aQ0bZr7K"


def page(*items: JsonValue) -> dict[str, JsonValue]:
    """Give the example of a page of these."""
    return {"items": list(items), "next_cursor": "WyI2NDg2YzgxZiIsIjAxOTM2YTVlIl0"}
