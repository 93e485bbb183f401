"""Settings of the server that would be dangerous are refused before it starts."""

from __future__ import annotations

import pytest

from agentmem.errors import ConfigurationError
from agentmem.settings import Settings


def test_every_origin_with_credentials_refuses_to_start() -> None:
    with pytest.raises(ConfigurationError, match="cors_origins"):
        Settings.load(cors_origins=("*",), cors_credentials=True)


def test_every_origin_is_not_for_production() -> None:
    assert Settings.load(cors_origins=("*",)).cors_origins == ("*",)
    with pytest.raises(ConfigurationError, match="production"):
        Settings.load(cors_origins=("*",), environment="production")


def test_named_origins_may_send_credentials_in_production() -> None:
    origins = ("https://console.example",)
    settings = Settings.load(cors_origins=origins, cors_credentials=True, environment="production")
    assert settings.cors_origins == origins


def test_secrets_of_the_server_are_not_shown() -> None:
    settings = Settings.load(redis_url="redis://:hunter2@127.0.0.1:6379/0")
    assert "hunter2" not in repr(settings)
