"""The one reader of the environment: frozen values, read once and passed on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from agentmem.errors import ConfigurationError
from agentmem.kit.networks import parse_network
from agentmem.kit.secret_files import SecretFiles
from agentmem.kit.validation import faults_of

PREFIX: Final = "AGENTMEM_"
MEBIBYTE = 1024 * 1024
CONSOLE_MAIL: Final = "console:"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def default_data_directory() -> Path:
    """Give the folder that holds the embedded store when no setting names one (XDG Base Directory specification)."""
    if os.geteuid() == 0:
        return Path("/var/lib/agentmem")
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "agentmem"


class Settings(BaseSettings):
    """Everything that can be set, by keyword or as ``AGENTMEM_<NAME>`` in the environment.

    A secret may stand in a file that ``AGENTMEM_<NAME>_FILE`` names instead.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    data_directory: Path = Field(
        default_factory=default_data_directory, description="Folder of the embedded PostgreSQL and its key file."
    )
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL >= 16 with pgvector >= 0.8 to use instead of the embedded server."
    )
    database_replica_url: SecretStr | None = Field(
        default=None, description="Read replica of that PostgreSQL, which takes searches while it has caught up."
    )
    erasure_hours: int = Field(
        default=720, ge=1, le=8760, description="Hours until an erased person has left all files; rewritten at half."
    )
    backup_location: str | None = Field(
        default=None,
        min_length=1,
        description="Folder of backups, or `s3://bucket/prefix`; by default `backups` in the data directory.",
    )
    backup_endpoint: str | None = Field(default=None, description="URL of what speaks as S3 does, if it is not AWS.")
    backup_recipients: tuple[str, ...] = Field(
        default=(), description="Public keys of age to which backups are encrypted, as a JSON list."
    )
    backup_identity: SecretStr | None = Field(
        default=None, description="Secret key of age, to restore, and to verify more than the signature."
    )
    backup_signing_key: Path | None = Field(
        default=None, description="Key that signs manifests; by default `keys/backup-signing.pem`, which is made."
    )
    backup_signers: tuple[str, ...] = Field(
        default=(), description="Public keys of other machines whose backups are trusted, as a JSON list."
    )
    backup_hours: int | None = Field(
        default=None, ge=1, le=8760, description="Hours between two backups that a server or worker makes; none."
    )
    backup_days: int = Field(default=30, ge=1, le=3650, description="Days that a backup is kept.")
    data_key_days: int | None = Field(
        default=None, ge=1, le=3650, description="Days until an organization's data key is rotated by itself; never."
    )
    master_key_days: int | None = Field(
        default=None, ge=1, le=3650, description="Days between rotations of the master key by itself; never."
    )
    key_database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL of the keys of subjects; by default a schema of its own beside the memories.",
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
    key_provider: Literal["file", "aws", "vault", "pkcs11"] = Field(
        default="file", description="Who holds the master keys: that file, AWS KMS, Vault's transit engine, an HSM."
    )
    aws_key: str | None = Field(
        default=None, min_length=1, description="KMS key that wraps: its id, ARN or alias. Credentials are boto3's."
    )
    aws_earlier_keys: tuple[str, ...] = Field(
        default=(), description="ARNs of KMS keys that wrapped before and may unwrap still, as a JSON list."
    )
    aws_region: str | None = Field(default=None, min_length=1, description="Region of AWS; boto3's own if not set.")
    aws_endpoint: str | None = Field(default=None, description="URL to use in place of AWS's own for KMS.")
    vault_url: str | None = Field(default=None, description="URL of Vault or OpenBao.")
    vault_token: SecretStr | None = Field(default=None, description="Token that may use the transit key.")
    vault_mount: str = Field(default="transit", min_length=1, description="Where the transit engine is mounted.")
    vault_key: str = Field(default="agentmem", pattern=r"^[\w.-]+$", description="Name of the transit key.")
    pkcs11_module: Path | None = Field(default=None, description="PKCS#11 library of the hardware module.")
    pkcs11_token: str | None = Field(default=None, min_length=1, description="Label of its token.")
    pkcs11_pin: SecretStr | None = Field(default=None, description="PIN of the token's user.")
    pkcs11_key: str = Field(default="agentmem", min_length=1, description="Label of the master keys in the token.")
    embedding_model: str = Field(
        default="default",
        description="Model of a new store: `default`, `multilingual-e5-small`, a folder, or `openai:<model>`.",
    )
    embedding_threads: int = Field(default=2, ge=1, le=64, description="Processor threads the local model may use.")
    embedding_url: str | None = Field(default=None, description="Base URL of an OpenAI-compatible endpoint.")
    embedding_key: SecretStr | None = Field(default=None, description="API key of that endpoint.")
    embedding_dimensions: int | None = Field(
        default=None, ge=1, le=4000, description="Length of that endpoint's vectors, for example 1536."
    )
    reranker: str | None = Field(
        default=None, min_length=1, description="Model that reorders the best of a search, at the next address."
    )
    reranker_url: str | None = Field(default=None, description="Base URL of an endpoint with `/rerank`.")
    reranker_key: SecretStr | None = Field(default=None, description="API key of that endpoint.")
    reranker_deadline: float = Field(
        default=1.0, gt=0, le=30, description="Seconds a search waits for it; then its own order stands."
    )
    reranker_depth: int = Field(default=30, ge=2, le=100, description="How many of the best it reorders.")
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

    environment: Literal["development", "staging", "production"] = Field(
        default="development", description="What the server is run for; production refuses what only development may."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address the server listens on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port the server listens on; 0 for any free one.")
    public_url: str | None = Field(
        default=None, description="URL under which clients reach the server, with its path if it has one: for links."
    )
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="Port of its own for `/metrics`, without a key; off if not set."
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address that port listens on; whoever reaches it may read."
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis that several servers share (`redis://`, `rediss://`, `unix://`, `redis+sentinel://`, "
        "`redis+cluster://`); one server needs none.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Networks (CIDR) whose `X-Forwarded-For` is believed, as a JSON list."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose pages may call the server, as a JSON list."
    )
    cors_credentials: bool = Field(default=False, description="Whether those pages may send credentials.")
    rate_limit_ip: int = Field(
        default=60_000, ge=0, description="Cost units a minute from one address; 0 for no limit."
    )
    rate_limit_key: int = Field(default=60_000, ge=0, description="Cost units a minute of one API key; 0 for no limit.")
    rate_limit_organization: int = Field(
        default=120_000, ge=0, description="Cost units a minute of one organization; 0 for no limit."
    )
    rate_limit_failures: int = Field(
        default=60, ge=0, description="Failed authentications a minute from one address; 0 for no limit."
    )
    max_in_flight: int = Field(default=256, ge=1, le=65536, description="Requests that are worked on at once.")
    max_in_flight_organization: int = Field(
        default=64,
        ge=1,
        le=65536,
        description="Requests of one organization that are worked on at once; as many of it may wait.",
    )
    max_streams: int = Field(
        default=32,
        ge=1,
        le=65536,
        description="Exports, imports and other requests of any length that are worked on at once, besides.",
    )
    max_queued: int = Field(default=256, ge=0, le=65536, description="Requests that may wait for their turn.")
    request_timeout: float = Field(default=30.0, gt=0, le=3600, description="Seconds a request may take.")
    body_timeout: float = Field(default=10.0, gt=0, le=3600, description="Seconds between two parts of a body.")
    head_timeout: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds until the head of a request must be whole."
    )
    send_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds a client may take nothing of its answer."
    )
    max_connections: int = Field(
        default=900, ge=1, le=1_000_000, description="Open connections; a quarter of them of one address."
    )
    max_body_bytes: int = Field(
        default=4 * MEBIBYTE, ge=1024, le=1024 * MEBIBYTE, description="Bytes of a request's body; batches four times."
    )
    drain_seconds: float = Field(
        default=2.0, ge=0, le=600, description="Seconds a stopping server reports unready before it closes its port."
    )
    shutdown_seconds: int = Field(default=30, ge=0, le=3600, description="Seconds that requests in flight have to end.")
    keep_alive: int = Field(default=75, ge=1, le=3600, description="Seconds an idle connection stays open.")
    key_days: int = Field(default=90, ge=1, le=3650, description="Days until a new API key expires, if it names none.")
    access_token_seconds: int = Field(
        default=600, ge=60, le=3600, description="Seconds that an access token of a person is good."
    )
    signing_key_days: int = Field(
        default=30, ge=1, le=365, description="Days until the key that signs access tokens gives way to the next."
    )
    sessions_need_redis: bool = Field(
        default=False,
        description="Whether people are refused while Redis does not answer; off, PostgreSQL alone says who they are.",
    )
    password_memory_kib: int = Field(
        default=19_456, ge=8, le=4 * 1024 * 1024, description="KiB of memory that hashing a password takes (Argon2id)."
    )
    password_passes: int = Field(default=2, ge=1, le=100, description="How often that memory is passed over.")
    password_threads: int | None = Field(
        default=None, ge=1, le=64, description="Passwords that are verified at once; by default one a processor."
    )
    password_wait: float = Field(
        default=5.0, gt=0, le=60, description="Seconds a sign-in waits for its turn; then it is told to come again."
    )
    breached_passwords_file: Path | None = Field(
        default=None, description="SHA-1 digests of breached passwords, in order: none of them can be chosen."
    )
    sign_in_limit_ip: int = Field(
        default=60, ge=0, description="Passwords that one address may try in 5 minutes; 0 for no limit."
    )
    sign_in_limit: int = Field(
        default=3000, ge=0, description="Passwords that all may try in 5 minutes together; 0 for no limit."
    )
    mail_limit: int = Field(
        default=5, ge=0, description="Mails in an hour to one address, and four times as many from one; 0 for no limit."
    )
    mail_url: SecretStr | None = Field(
        default=None,
        description="Server that takes mail: `smtp://user:password@host` (STARTTLS), `smtps://`, `smtp+cleartext://`, "
        "or `console:`, which writes it to standard error.",
    )
    mail_from: str = Field(default="agentmem@localhost", min_length=3, description="Whose address that mail is from.")
    email_codes: bool = Field(
        default=False, description="Whether codes that are mailed can be a second factor, where a policy allows it."
    )
    sms_gateway_url: SecretStr | None = Field(
        default=None,
        description='Gateway that sends SMS: it is sent `{"to": "+49...", "text": "..."}`; off if not set.',
    )
    account_url: str | None = Field(
        default=None,
        description="Page that takes the secrets in mails, after a `#`; else a mail holds the secret alone.",
    )
    open_registration: bool = Field(
        default=False, description="Whether anybody may register an account; else those alone who are invited."
    )
    invitation_days: int = Field(default=7, ge=1, le=90, description="Days that an invitation can be accepted.")
    deletion_grace_days: int = Field(
        default=30, ge=0, le=365, description="Days during which the deletion of an organization can be taken back."
    )
    idempotency_hours: int = Field(
        default=24, ge=1, le=720, description="Hours an answer is kept for a repeated request."
    )
    sweep_seconds: float = Field(default=30.0, gt=0, le=3600, description="Seconds between two rounds of upkeep.")
    run_jobs: bool = Field(
        default=True, description="Whether the server does background jobs too; off where `agentmem worker` does them."
    )
    job_days: int = Field(default=14, ge=1, le=3650, description="Days that a job is kept after its end.")
    jobs_at_once: int = Field(
        default=4, ge=1, le=64, description="Organizations whose background jobs one process does at once."
    )
    event_hours: int = Field(default=72, ge=1, le=720, description="Hours an event can be read in a stream.")
    delivery_days: int = Field(
        default=30, ge=1, le=3650, description="Days that the log keeps what was sent to a webhook."
    )
    webhook_http: bool = Field(default=False, description="Whether webhooks may be sent over `http://`, in clear.")
    webhook_networks: tuple[str, ...] = Field(
        default=(), description="Networks (CIDR) that webhooks may lead to though they are not public, as a JSON list."
    )
    sso_http: bool = Field(
        default=False, description="Whether providers of single sign-on may be asked over `http://`, in clear."
    )
    sso_networks: tuple[str, ...] = Field(
        default=(), description="Networks (CIDR) in which such providers may be though they are not public."
    )
    otlp_endpoint: str | None = Field(default=None, description="URL of an OpenTelemetry collector for traces (HTTP).")
    leak_report_key: Path | None = Field(
        default=None, description="File with the public key (PEM) that must have signed reports of leaked keys."
    )
    docs: bool = Field(default=True, description="Whether the server shows its documentation at `/docs`.")

    @model_validator(mode="after")
    def _origins_are_safe(self) -> Self:
        if "*" in self.cors_origins and self.cors_credentials:
            raise ValueError(
                "cors_origins: '*' with cors_credentials lets every page act for its visitor; name origins"
            )
        if "*" in self.cors_origins and self.environment == "production":
            raise ValueError("cors_origins: '*' is not for production; name origins")
        return self

    @model_validator(mode="after")
    def _passwords_are_safe(self) -> Self:
        if self.environment != "production":
            return self
        # OWASP ASVS 5, appendix C.
        if self.password_memory_kib < {1: 47_104, 2: 19_456}.get(self.password_passes, 12_288):
            raise ValueError("password_memory_kib: too little for production with so few password_passes")
        url = "" if self.mail_url is None else self.mail_url.get_secret_value()
        if url.startswith((CONSOLE_MAIL, "smtp+cleartext:")):
            raise ValueError("mail_url: mails hold secrets, which production sends encrypted; name smtp:// or smtps://")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.metrics_port == self.port != 0:
            raise ValueError(f"metrics_port: {self.metrics_port} is the port of the server itself; choose another")
        return self

    @field_validator("trusted_proxies", "webhook_networks", "sso_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                parse_network(text)
            except ValueError as error:
                raise ValueError(f"{text!r} {error}") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if text != "*" and not _ORIGIN.fullmatch(text):
                raise ValueError(
                    f"{text!r} is no origin as browsers send it: scheme://host or scheme://host:port in lower case, "
                    "without a path or a slash at its end"
                )
        return value

    @field_validator(
        *("public_url", "account_url", "embedding_url", "otlp_endpoint"),
        *("aws_endpoint", "backup_endpoint", "vault_url"),
    )
    @classmethod
    def _web_addresses(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("it does not begin with http:// or https://")
        return value

    @field_validator(
        *("data_directory", "key_file", "leak_report_key", "breached_passwords_file"),
        *("pkcs11_module", "backup_signing_key"),
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # its files have names of another kind
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read keywords first, then the environment, then the files that it names."""
        return init_settings, env_settings, SecretFiles(settings_cls, PREFIX)

    @classmethod
    def load(cls, **given: object) -> Self:
        """Read the environment, with the given values on top.

        Raises :class:`~agentmem.errors.ConfigurationError` that names each setting and what is wrong with it.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]  # pydantic checks what the caller gave
        except ValidationError as error:
            wrong = faults_of(error)
        except SettingsError as error:
            wrong = f"{error}: lists are written as JSON"
        raise ConfigurationError(
            f"Settings are not valid: {wrong}.", hint="See the settings reference for names and values."
        )

    @property
    def master_key_file(self) -> Path:
        """Path of the master key file in force."""
        return self.key_file or self.data_directory / "keys" / "master.json"
