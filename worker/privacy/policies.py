"""Publishes what the policy files say to Postgres, where pages and commands read it: each worker does when it starts.

A higher version replaces a lower one; the same or a lower one changes nothing, so that releases which run side by side
keep one rule. A file that cannot be read takes nothing away from the others, nor what was published of its connector.
"""

from collections.abc import Iterable
from pathlib import Path

import structlog

from worker.connectors import registry
from worker.connectors.policy import Policy, policy_of
from worker.errors import Misconfigured
from worker.store import retention
from worker.store.database import Connection, Database
from worker.store.retention import PublishedRule

_log = structlog.get_logger(__name__)


def publish_all(database: Database, folder: Path | None = None) -> None:
    """Publish the policies of all installed connectors; `folder` holds the operator's own files, if any.

    Raises:
        Unavailable: Postgres cannot be reached.
    """
    policies = list(_readable(registry.names(), folder))
    with database.transaction() as tx:
        for policy in policies:
            match publish(tx, policy):
                case "published":
                    _log.info("policy.published", connector=policy.connector, version=policy.version)
                case "differs":
                    _log.error("policy.version_not_raised", connector=policy.connector, version=policy.version)


def publish(tx: Connection, policy: Policy) -> str:
    """Publish one policy; what came of it, as `worker.store.retention.publish` says."""
    rules = [
        PublishedRule(
            kind=rule.kind,
            max_age=rule.at_most,
            counted_from=rule.counted_from.value,
            after_disconnect=rule.after_disconnect,
            ends_when=tuple(ending.value for ending in rule.ends_when),
            why=rule.why,
            source=rule.source,
            read_on=rule.read_on,
            sure=rule.sure.value,
        )
        for rule in policy.keep.values()
    ]
    return retention.publish(tx, policy.connector, policy.title, policy.version, rules)


def _readable(names: Iterable[str], folder: Path | None) -> Iterable[Policy]:
    for name in names:
        try:
            yield policy_of(name, folder)
        except Misconfigured as error:
            _log.error("policy.refused", connector=name, error=str(error))
