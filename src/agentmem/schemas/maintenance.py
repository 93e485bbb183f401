"""What is asked of the upkeep of a store."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from agentmem.schemas.base import Schema, Text


class DoctorRequest(Schema):
    """Whether what can be made again is made again."""

    repair: StrictBool = False


class VacuumRequest(Schema):
    """After how many days what was deleted goes for good; by default the server's setting."""

    purge_after_days: Annotated[int, Field(ge=0, le=36500, strict=True)] | None = None


class ReembedRequest(Schema):
    """The embedding model to put in force; in the background, a job does it, and the answer names the job."""

    model: Annotated[Text, Field(min_length=1, max_length=1024)]
    background: StrictBool = False
