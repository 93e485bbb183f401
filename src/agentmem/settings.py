"""The one reader of the environment: frozen values, read once and passed on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentmem.errors import ConfigurationError
from agentmem.kit.validation import faults_of

MEBIBYTE = 1024 * 1024


def default_data_directory() -> Path:
    """Give the folder that holds the embedded store when no setting names one (XDG Base Directory specification)."""
    if os.geteuid() == 0:
        return Path("/var/lib/agentmem")
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "agentmem"


class Settings(BaseSettings):
    """Everything that can be set, by keyword or as ``AGENTMEM_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="AGENTMEM_", frozen=True, extra="forbid")

    data_directory: Path = Field(
        default_factory=default_data_directory, description="Folder of the embedded PostgreSQL and its key file."
    )
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL >= 16 with pgvector >= 0.8 to use instead of the embedded server."
    )
    migrate: bool = Field(
        default=True, description="Apply database migrations when a store is opened; off, an old schema is refused."
    )
    organization: str = Field(
        default="local", min_length=1, max_length=255, description="Organization of the embedded store."
    )
    key_file: Path | None = Field(
        default=None, description="Master key file; by default `keys/master.json` in the data directory."
    )
    embedding_model: str = Field(
        default="default", description="Model of a new store: a shipped name, a folder, or `openai:<model>`."
    )
    embedding_threads: int = Field(default=2, ge=1, le=64, description="Processor threads the local model may use.")
    embedding_url: str | None = Field(default=None, description="Base URL of an OpenAI-compatible endpoint.")
    embedding_key: SecretStr | None = Field(default=None, description="API key of that endpoint.")
    embedding_dimensions: int | None = Field(
        default=None, ge=1, le=4000, description="Length of that endpoint's vectors, for example 1536."
    )
    content_limit: int = Field(default=MEBIBYTE, ge=1, le=16 * MEBIBYTE, description="Bytes of one memory's content.")
    pool_size: int = Field(default=8, ge=1, le=100, description="Database connections of one process.")
    linger: float = Field(
        default=3.0, ge=0, le=3600, description="Seconds the embedded server stays up after its last user."
    )
    purge_after_days: int = Field(
        default=30, ge=0, le=3650, description="Days a deleted memory can be restored before `vacuum` purges it."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="Least severe log line that is written to standard error."
    )

    @field_validator("data_directory", "key_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @classmethod
    def load(cls, **given: object) -> Self:
        """Read the environment, with the given values on top.

        Raises :class:`~agentmem.errors.ConfigurationError` that names each setting and what is wrong with it.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]  # pydantic checks what the caller gave
        except ValidationError as error:
            raise ConfigurationError(
                f"Settings are not valid: {faults_of(error)}.", hint="See the settings reference for names and values."
            ) from None

    @property
    def master_key_file(self) -> Path:
        """Path of the master key file in force."""
        return self.key_file or self.data_directory / "keys" / "master.json"
