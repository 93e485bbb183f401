"""Settings of the server that would be dangerous are refused before it starts."""

from __future__ import annotations

from pathlib import Path

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


def test_a_secret_is_read_from_the_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "redis"
    path.write_text("redis://:hunter2@127.0.0.1:6379/0\n")
    monkeypatch.setenv("AGENTMEM_REDIS_URL_FILE", str(path))

    read = Settings.load().redis_url
    given = Settings.load(redis_url="redis://127.0.0.1:1").redis_url

    assert read is not None
    assert read.get_secret_value() == "redis://:hunter2@127.0.0.1:6379/0"
    assert given is not None
    assert given.get_secret_value() == "redis://127.0.0.1:1"


def test_a_secret_in_two_places_or_in_a_file_that_is_not_there_refuses_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTMEM_EMBEDDING_KEY_FILE", str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match="AGENTMEM_EMBEDDING_KEY_FILE names cannot be read"):
        Settings.load()

    monkeypatch.setenv("AGENTMEM_EMBEDDING_KEY", "hunter2")
    with pytest.raises(ConfigurationError, match="both set") as caught:
        Settings.load()
    assert "hunter2" not in str(caught.value)


def test_what_is_no_secret_is_not_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "port"
    path.write_text("9")
    monkeypatch.setenv("AGENTMEM_PORT_FILE", str(path))

    assert Settings.load().port == 8080


def test_secrets_of_the_server_are_not_shown() -> None:
    settings = Settings.load(redis_url="redis://:hunter2@127.0.0.1:6379/0")
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "origin",
    [
        "https://console.example/",
        "https://console.example/app",
        "console.example",
        "https://",
        "HTTPS://Console.example",
        "https://user@console.example",
        "https://console.example:",
        "https://*.example",
    ],
)
def test_origins_that_no_browser_sends_are_refused_with_the_form_that_one_does(origin: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cors_origins.*scheme://host") as caught:
        Settings.load(cors_origins=("https://good.example", origin))
    assert repr(origin) in caught.value.message


@pytest.mark.parametrize(
    "origin", ["http://localhost:5173", "https://a.b-c.example", "http://[::1]:8080", "chrome-extension://abc"]
)
def test_origins_as_browsers_send_them_are_taken(origin: str) -> None:
    assert Settings.load(cors_origins=(origin,)).cors_origins == (origin,)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "somewhere", "10.0.0.0/33", "fe80::1%eth0", ""])
def test_trusted_proxies_that_are_no_networks_are_named(network: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted_proxies") as caught:
        Settings.load(trusted_proxies=("192.0.2.0/24", network))
    assert repr(network) in caught.value.message


def test_list_that_is_not_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTMEM_TRUSTED_PROXIES", "10.0.0.0/8")
    with pytest.raises(ConfigurationError, match=r"trusted_proxies.*JSON"):
        Settings.load()


def test_metrics_have_a_port_of_their_own() -> None:
    with pytest.raises(ConfigurationError, match="metrics_port"):
        Settings.load(port=8080, metrics_port=8080)
    assert Settings.load(port=0, metrics_port=0).metrics_port == 0


@pytest.mark.parametrize("name", ["public_url", "embedding_url", "otlp_endpoint"])
def test_addresses_of_the_web_begin_as_such(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.load(**{name: "collector:4318"})


def test_metrics_without_a_key_are_of_this_machine_whatever_the_server_listens_on() -> None:
    assert Settings.load(host="0.0.0.0", metrics_port=9100).metrics_host == "127.0.0.1"
