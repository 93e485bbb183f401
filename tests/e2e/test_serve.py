"""``agentmem serve`` as a stranger first meets it: start it, copy what it prints, and come back later."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import httpx

from tests.support.command_line import CommandLine
from tests.support.embedded_server import is_down, wait_until
from tests.support.servers import KEY, ServerProcess, servers

CURL = re.compile(r"  curl .*?(?=\n\n)", re.DOTALL)


def test_first_start_prints_a_key_with_which_the_printed_curls_work(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with servers(directory, 1) as (server,):
        wait_until(lambda: len(CURL.findall(server.printed)) == 2)
        add, search = CURL.findall(server.printed)
        added = json.loads(subprocess.run(["sh", "-c", add], check=True, capture_output=True).stdout)
        found = json.loads(subprocess.run(["sh", "-c", search], check=True, capture_output=True).stdout)
        assert found["hits"][0]["memory"]["id"] == added["memories"][0]["id"]
        assert len(set(KEY.findall(server.printed))) == 1
        assert server.key not in server.said
    wait_until(lambda: is_down(directory))


def test_second_start_prints_no_key_and_keeps_memories(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with servers(directory, 1) as (first,):
        key = first.key
        headers = {"Authorization": f"Bearer {key}"}
        body = {"content": "Zebras graze at dawn.", "user_id": "zoe"}
        added = httpx.post(f"{first.url}/v1/memories", json=body, headers=headers).json()["memories"][0]
        assert first.stop() == 0
    with servers(directory, 1) as (second,):
        assert KEY.search(second.printed) is None
        answer = httpx.get(f"{second.url}/v1/memories/{added['id']}", headers=headers)
        assert answer.json()["content"] == body["content"]
    wait_until(lambda: is_down(directory))


def test_command_line_and_server_show_the_same_memories(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    agentmem = CommandLine(directory=directory)
    with servers(directory, 1) as (server,):
        agentmem.run("add", "Ships sail at noon.", "--user", "sam")
        headers = {"Authorization": f"Bearer {server.key}"}
        listed = httpx.get(f"{server.url}/v1/memories", params={"user_id": "sam"}, headers=headers).json()
        assert [item["content"] for item in listed["items"]] == ["Ships sail at noon."]
    wait_until(lambda: is_down(directory))


def test_address_that_is_taken_is_said_and_nothing_is_opened(tmp_path: Path) -> None:
    with httpx.Client() as _, servers(tmp_path / "data", 1) as (server,):
        other = CommandLine(directory=tmp_path / "other")
        done = other.run("serve", "--port", str(server.port), status=1)
        assert str(server.port) in done.stderr
        assert "AGENTMEM_PORT" in done.stderr
        assert not (tmp_path / "other").exists()
    wait_until(lambda: is_down(tmp_path / "data"))


def test_start_that_fails_costs_nobody_the_first_key(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    for settings, said in (
        ({"trusted_proxies": '["10.0.0.1/8"]'}, "trusted_proxies"),
        ({"trusted_proxies": "10.0.0.0/8"}, "trusted_proxies"),
        ({"cors_origins": '["https://console.example/"]'}, "cors_origins"),
        ({"metrics_port": "1", "host": "192.0.2.1"}, "192.0.2.1"),
    ):
        failing = ServerProcess(directory, settings)
        try:
            failing.start(wait=False)
            assert failing.ends() != 0
        finally:
            failing.close()
        assert said in failing.said
        assert "Something went wrong inside" not in failing.said
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        failing = ServerProcess(directory, {"metrics_port": str(taken.getsockname()[1])})
        try:
            failing.start(wait=False)
            assert failing.ends() != 0
        finally:
            failing.close()
        assert "AGENTMEM_METRICS_PORT" in failing.said
    with servers(directory, 1) as (server,):
        assert httpx.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {server.key}"}).status_code == 200
    wait_until(lambda: is_down(directory))


def test_lost_key_is_replaced_on_the_machine(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with servers(directory, 1) as (server,):
        assert server.key
        assert server.stop() == 0
    with servers(directory, 1) as (server,):
        wait_until(lambda: "agentmem keys create" in server.printed)
        made = CommandLine(directory=directory).json("keys", "create", "another")
        assert isinstance(made, dict)
        me = httpx.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {made['key']}"}).json()
        assert me["role"] == "owner"
    wait_until(lambda: is_down(directory))
