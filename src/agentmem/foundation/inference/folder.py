"""A model folder: the weights, the tokenizer and a manifest that says what they are and pins their digests.

::

    <name>/
      manifest.json     what the model is, and the SHA-256 of the other files
      model.onnx        input_ids, lengths -> pooled float32 (n, dimensions), tokens int8 (n, length, token_dimensions)
      tokenizer.json    the format of the ``tokenizers`` library
      LICENSE           of the weights

``scripts/quantise_model.py`` makes such folders.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentmem.errors import ConfigurationError, IntegrityError

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
MANIFEST_FILE = "manifest.json"
_DIGEST_LENGTH = 8


class Source(BaseModel):
    """Where the weights were taken from: a pinned release of a Python package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    version: str
    sha256: str


class Manifest(BaseModel):
    """What a model folder says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    name: str
    source: Source
    licence: str
    pooling: Literal["mean", "cls"]
    dimensions: int = Field(gt=0)
    token_dimensions: int = Field(gt=0)
    max_tokens: int = Field(gt=2)
    query_prefix: str = ""
    document_prefix: str = ""
    files: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """The verified contents of a model folder; ``digest`` is the SHA-256 of its manifest, which pins the rest."""

    manifest: Manifest
    digest: str
    model: bytes
    tokenizer: bytes

    @property
    def id(self) -> str:
        """The model's stable name with a short digest: ``all-minilm-l6-v2-int8@1a2b3c4d``."""
        return f"{self.manifest.name}@{self.digest[:_DIGEST_LENGTH]}"


def read_model_folder(path: Path, *, digest: str | None = None) -> ModelFolder:
    """Read a model folder whole and check every file against the manifest, and the manifest against ``digest``.

    Raises :class:`ConfigurationError` if there is no such folder or its manifest cannot be read, and
    :class:`IntegrityError` if a file is not the one that was shipped.
    """
    raw = _read(path, MANIFEST_FILE)
    found = hashlib.sha256(raw).hexdigest()
    if digest is not None and found != digest:
        raise IntegrityError(
            f"The manifest in {path} is not the one that was shipped: its SHA-256 is {found}, not {digest}.",
            hint="Install the package again.",
        )
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, item["loc"])) or "file" for item in error.errors()}))
        raise ConfigurationError(
            f"{path / MANIFEST_FILE} does not describe a model that this version can load (wrong: {fields}).",
            hint="Make the folder with scripts/quantise_model.py of this version.",
        ) from None
    return ModelFolder(
        manifest=manifest,
        digest=found,
        model=_verified(path, MODEL_FILE, manifest),
        tokenizer=_verified(path, TOKENIZER_FILE, manifest),
    )


def _verified(path: Path, name: str, manifest: Manifest) -> bytes:
    data = _read(path, name)
    if hashlib.sha256(data).hexdigest() != manifest.files.get(name):
        raise IntegrityError(
            f"{path / name} is damaged: its SHA-256 is not the one in the manifest.",
            hint="Install the package again, or make the folder again.",
        )
    return data


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The model folder {path} has no readable {name}: {error.strerror or type(error).__name__}.",
            hint="Name a folder with manifest.json, model.onnx and tokenizer.json.",
        ) from None
