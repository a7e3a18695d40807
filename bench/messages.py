"""Messages through everything, against a straight line."""

import argparse
from typing import Any

from bench import streams


def run(options: argparse.Namespace) -> dict[str, Any]:
    """`--messages` of them."""
    return streams.run(options, streams.MESSAGES, people=200, messages=options.messages)
