"""`python -m worker.embedded`: look at the embedded servers of a folder, stop or remove them by hand.

`keep` is how the keeper is started; people need it only to see what it says.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from worker.embedded.folder import EmbeddedError
from worker.embedded.keeper import keep
from worker.embedded.use import remove, status, stop


def main() -> int:
    """Run one command. Ends with 0, or with 1 and one message when it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m worker.embedded", description=__doc__)
    parser.add_argument("command", choices=("status", "stop", "remove", "keep"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--force", action="store_true", help="stop or remove although somebody uses the servers")
    parser.add_argument("--not-durable", action="store_true", help="keep: do not wait for the disk")
    given = parser.parse_args()
    try:
        match given.command:
            case "status":
                sys.stdout.write(json.dumps(asdict(status(given.folder)), default=str, indent=2) + "\n")
            case "stop":
                stop(given.folder, force=given.force)
            case "remove":
                remove(given.folder, force=given.force)
            case _:
                keep(given.folder, durable=not given.not_durable)
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
