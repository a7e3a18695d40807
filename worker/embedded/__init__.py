"""A real Postgres and a real Redis for development and tests, started on demand in a local folder.

They are what production uses, on loopback with passwords; nothing is mocked. They stop by themselves when their
last user ends, however it ends. Not for production: no replication, no TLS, no backup, no upgrades of data.

`start` gives the URLs. The rest looks, stops, and breaks things for tests. `use.py` and `faults.py` hold the
promises; `keeper.py` says how they are kept, `programs.py` where servers live when root starts them.
"""

from worker.embedded.faults import kill_postgres, kill_redis, outage, restart_postgres, restart_redis
from worker.embedded.folder import EmbeddedError
from worker.embedded.use import Servers, ServerStatus, remove, start, status, stop

__all__ = [
    "EmbeddedError",
    "ServerStatus",
    "Servers",
    "kill_postgres",
    "kill_redis",
    "outage",
    "remove",
    "restart_postgres",
    "restart_redis",
    "start",
    "status",
    "stop",
]
