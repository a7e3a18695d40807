"""`python -m bench [NAMES] [--json]`: measure, and print what came of it."""

import argparse
import json
import sys
import time
from importlib import import_module
from typing import Any

BENCHES = (
    "contacts", "messages", "outlook_messages", "campaign_days", "jobs", "worker_process", "seal", "budgets",
)  # fmt: skip


def main() -> int:
    """Run the benches that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which of: {', '.join(BENCHES)} (default: all)")
    parser.add_argument("--people", type=int, default=100_000, help="contacts of an account")
    parser.add_argument("--messages", type=int, default=10_000, help="messages of an account")
    parser.add_argument("--ad-accounts", type=int, default=6, help="advertising accounts, beside a few small ones")
    parser.add_argument("--ad-campaigns", type=int, default=50, help="campaigns of each of them")
    parser.add_argument("--jobs", type=int, default=8_000, help="no-op jobs")
    parser.add_argument("--idle", type=int, default=100, help="jobs into an idle deployment")
    parser.add_argument("--minutes", type=int, default=4, help="of reading at the provider's own limits")
    parser.add_argument("--twice", action="store_true", help="run the straight line once more at the end")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHES)
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    results: dict[str, Any] = {}
    for name in options.names or BENCHES:
        print(f"{name} …", file=sys.stderr, flush=True)
        started_s = time.monotonic()
        results[name] = import_module(f"bench.{name}").run(options)
        results[name]["measured_in_s"] = round(time.monotonic() - started_s, 1)
        if not options.json:
            print(json.dumps({name: results[name]}, indent=2))
    if options.json:
        print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
