"""`python -m worker --pool sync`: one worker process. It is `crm-sync worker` for those who have no console scripts."""

import argparse
import sys

from worker import logs, settings
from worker.app import run_worker
from worker.errors import CrmSyncError
from worker.jobs.lanes import POOLS


def main() -> int:
    """Read the command line and run until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--pool", choices=sorted(POOLS), default="all", help="which lanes to serve")
    parser.add_argument("--threads", type=int, default=None, help="threads; default: CRM_SYNC_THREADS")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this parent process ends")
    arguments = parser.parse_args()
    try:
        loaded = settings.load()
        logs.set_up(loaded.log_format)
        return run_worker(loaded, arguments.pool, threads=arguments.threads, with_parent=arguments.with_parent)
    except CrmSyncError as error:
        sys.stderr.write(f"{error}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main())
