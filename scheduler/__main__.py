"""`python -m scheduler`: run one replica of the scheduler with the settings of the environment."""

import argparse
import sys

from scheduler.loop import run_scheduler
from worker import logs, settings
from worker.errors import CrmSyncError


def main() -> int:
    """Run it; 3 for wrong settings."""
    parser = argparse.ArgumentParser(prog="python -m scheduler", description=__doc__)
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this parent process ends")
    arguments = parser.parse_args()
    try:
        loaded = settings.load()
        logs.set_up(loaded.log_format)
        return run_scheduler(loaded, with_parent=arguments.with_parent)
    except CrmSyncError as error:
        sys.stderr.write(f"{error}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main())
