"""Contacts through everything, against a straight line."""

import argparse
from typing import Any

from bench import streams


def run(options: argparse.Namespace) -> dict[str, Any]:
    """`--people` of them."""
    return streams.run(options, streams.CONTACTS, people=options.people)
