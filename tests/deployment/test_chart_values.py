"""What the values of the chart turn on, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.deployment import refused, rendered, with_values

# A switch, and the kinds of resources that are there with it alone.
SWITCHES: list[tuple[str, dict[str, Any], dict[str, Any], set[str]]] = [
    ("ingress", {"ingress": {"enabled": True}}, {}, {"Ingress"}),
    ("route", {"httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}]}}, {}, {"HTTPRoute"}),
    (
        "certificate",
        {"ingress": {"tlsSecret": "t"}, "certificate": {"enabled": True, "issuer": {"name": "i"}}},
        {},
        {"Certificate"},
    ),
    ("hpa", {"api": {"autoscaling": {"enabled": True}}}, {}, {"HorizontalPodAutoscaler"}),
    ("keda", {"worker": {"keda": {"enabled": True}}}, {}, {"ScaledObject"}),
    (
        "disruption",
        {},
        {"api": {"podDisruptionBudget": {"enabled": False}}, "worker": {"podDisruptionBudget": {"enabled": False}}},
        {"PodDisruptionBudget"},
    ),
    ("network", {}, {"networkPolicy": {"enabled": False}}, {"NetworkPolicy"}),
    ("monitor", {"metrics": {"serviceMonitor": {"enabled": True}}}, {}, {"ServiceMonitor"}),
    ("rules", {"metrics": {"prometheusRule": {"enabled": True}}}, {}, {"PrometheusRule"}),
    ("istio", {"mesh": {"istio": {"enabled": True}}}, {}, {"PeerAuthentication", "DestinationRule"}),
    ("cron", {"cronJobs": {"doctor": {"enabled": True}}}, {}, {"CronJob"}),
    ("migration", {}, {"migration": {"enabled": False}}, {"Job"}),
    (
        "external",
        {
            "secrets": {
                "externalSecret": {
                    "enabled": True,
                    "store": {"name": "vault"},
                    "data": {"database_url": {"key": "a"}, "redis_url": {"key": "b"}},
                }
            }
        },
        {},
        {"ExternalSecret"},
    ),
    (
        "redis",
        {"environment": "development", "redis": {"enabled": True}, "secrets": {"values": {"database_url": "x"}}},
        {"environment": "development", "secrets": {"values": {"database_url": "x", "redis_url": "y"}}},
        {"redis"},
    ),
]


@pytest.mark.parametrize("name, on, off, kinds", SWITCHES, ids=[one[0] for one in SWITCHES])
def test_what_a_switch_turns_on_is_there_with_it_alone(
    name: str, on: dict[str, Any], off: dict[str, Any], kinds: set[str]
) -> None:
    def there(values: dict[str, Any]) -> set[str]:
        found = rendered(with_values(**values)).resources
        components = {one["metadata"]["labels"].get("app.kubernetes.io/component", "") for one in found}
        return kinds & ({one["kind"] for one in found} | components)

    assert there(on) == kinds
    assert there(off) == set()


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown value", {"replicas": 3}, "replicas"),
    ("an unknown value inside", {"api": {"replica": 3}}, "replica"),
    ("an unknown setting", {"config": {"log_levl": "info"}}, "log_levl"),
    ("a setting out of bounds", {"config": {"pool_size": 0}}, "pool_size"),
    ("a setting of the wrong type", {"config": {"docs": "perhaps"}}, "docs"),
    ("a setting that the chart makes", {"config": {"port": 80}}, "port"),
    ("a secret among the settings", {"config": {"redis_url": "redis://r"}}, "redis_url"),
    ("an unknown secret", {"secrets": {"values": {"password": "x"}}}, "password"),
    ("an unknown environment", {"environment": "test"}, "environment"),
    ("a digest that is none", {"image": {"digest": "latest"}}, "digest"),
    ("a negative number", {"api": {"replicas": -1}}, "replicas"),
    ("a port that is none", {"service": {"port": 70000}}, "port"),
    ("a schedule that is none", {"cronJobs": {"doctor": {"schedule": "daily"}}}, "schedule"),
    ("a database of its own in production", {"postgresql": {"enabled": True}}, "for development"),
    ("a master key of its own in production", {"masterKey": {"generate": True}}, "not for production"),
    ("no master key", {"masterKey": {"existingSecret": ""}}, "No master key"),
    ("no database", {"secrets": {"existingSecret": ""}}, "No database"),
    ("several processes without Redis", {"secrets": {"existingSecret": "s", "keys": ["database_url"]}}, "redis_url"),
    (
        "secrets of its own beside those of a Secret",
        {"secrets": {"existingSecret": "s", "values": {"embedding_key": "k"}}},
        "The chart writes no Secret beside one of yours",
    ),
    ("a route without a gateway", {"httpRoute": {"enabled": True}}, "parentRefs"),
    ("backups that nobody could open", {"cronJobs": {"backup": {"enabled": True}}}, "config.backup_location"),
    (
        "a drill without the key that opens",
        {
            "cronJobs": {"drill": {"enabled": True}},
            "config": {
                "backup_location": "s3://b/p",
                "backup_recipients": ["age1"],
                "backup_signing_key": "/etc/s.pem",
            },
        },
        "backup_identity",
    ),
    ("a certificate without an issuer", {"certificate": {"enabled": True}}, "issuer"),
    (
        "a secret that the store does not have",
        {"secrets": {"externalSecret": {"enabled": True, "data": {"database_url": {"key": "k"}}}}},
        "does not say where redis_url is",
    ),
]


@pytest.mark.parametrize("what, values, said", REFUSED, ids=[one[0] for one in REFUSED])
def test_values_that_cannot_work_are_refused_by_name(what: str, values: dict[str, Any], said: str) -> None:
    assert said in refused(with_values(**values))
