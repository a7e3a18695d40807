"""The wrapped data keys in a database of their own: everything works, and neither database opens anything alone."""

from pathlib import Path
from typing import LiteralString

import psycopg

from tests.deployment import Deployment
from worker.settings import Role, Settings


def count(url: str, statement: LiteralString) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def test_connect_sync_and_disconnect_with_the_data_keys_in_another_database(
    settings: Settings, keys_urls: dict[Role, str], tmp_path: Path
) -> None:
    main, apart = settings.database_url_of(Role.OWNER), keys_urls[Role.OWNER]
    with Deployment.start(settings, tmp_path, keys_urls=keys_urls) as deployment:
        connection_id = deployment.connect()
        deployment.sync(connection_id)
        assert deployment.held(connection_id, "contacts")
        deployment.wait(deployment.client.disconnect(connection_id, delete_data=True))
        deployment.until(lambda: deployment.client.connection(connection_id).state_reason == "purged")
        assert deployment.client.receipts(connection_id)[0].body["revoked_at_provider"] == "yes"
    assert count(main, "SELECT count(*) FROM crm_sync.data_key") == 0
    assert (
        count(apart, "SELECT count(*) FROM crm_sync.data_key WHERE wrapped IS NULL AND connection_id IS NOT NULL") == 3
    )
    assert count(main, "SELECT count(*) FROM crm_sync.intake") == 1
    assert count(apart, "SELECT count(*) FROM crm_sync.document") == 0
