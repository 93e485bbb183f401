"""Secrets that are handed to a program as files, which variables of its environment name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from agentmem.errors import ConfigurationError


class SecretFiles(PydanticBaseSettingsSource):
    """Reads secrets from the files that ``<PREFIX><NAME>_FILE`` name, as orchestrators mount them."""

    def __init__(self, settings_cls: type[BaseSettings], prefix: str) -> None:
        super().__init__(settings_cls)
        self._prefix = prefix

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        """Read the file of a setting that is a secret; a newline at its end is not a part of it."""
        variable = f"{self._prefix}{field_name.upper()}"
        path = os.environ.get(f"{variable}_FILE") if is_secret(field) else None
        if path is None:
            return None, field_name, False
        if variable in os.environ:
            raise ConfigurationError(f"{variable} and {variable}_FILE are both set.", hint="Set one of them.")
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise ConfigurationError(
                f"The file that {variable}_FILE names cannot be read: {path} ({type(error).__name__})."
            ) from None
        return text.removesuffix("\n").removesuffix("\r"), field_name, False

    def __call__(self) -> dict[str, object]:
        """Read the file of every setting that has one."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def is_secret(field: FieldInfo) -> bool:
    """Tell whether a setting is a secret, which a file may hold."""
    return SecretStr in get_args(field.annotation)
