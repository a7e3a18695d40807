"""The command that shows what campaigns cost: a picture of spend by day in the terminal, the rows as JSON."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any, Final

import typer

from worker.cli.options import Json, Workspace
from worker.cli.speech import speaking

BARS: Final = " ▁▂▃▄▅▆▇█"


def spend(
    workspace: Workspace,
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="how many days, up to today")] = 30,
    as_json: Json = False,
) -> None:
    """Show what was spent on each day, by currency; each ad account counts once.

    Example: crm-sync spend -w acme --days 60
    """
    with speaking(as_json) as speech:
        from worker.cli.environment import environment  # noqa: PLC0415 - heavy

        # Tomorrow has begun somewhere: days are those of each account's own time zone.
        last = datetime.now(UTC).date() + timedelta(days=1)
        first = last - timedelta(days=days)
        with environment() as opened, opened.client(workspace) as crm:
            crm.workspace_facts()
            found = crm.spend(first, last)
        if as_json:
            speech.data([_row(each) for each in found])
            return
        if not found:
            speech.say(f"Nothing was spent between {first} and {last}, or no campaign days are synced yet.")
            return
        wanted = [first + timedelta(days=number) for number in range(days + 1)]
        for line in picture(found, wanted):
            speech.out.print(line, highlight=False, markup=False)


def picture(found: Iterable[Any], days: Sequence[Any]) -> list[str]:
    """A line for each currency: its bars, one a day, and its sum. Bars of two currencies are of two scales."""
    lines = [f"Spend from {days[0]} to {days[-1]}, a bar a day"]
    for currency, rows in groupby(found, key=lambda each: each.currency):
        spent = {each.day: each.cost for each in rows}
        most = max(spent.values())
        bars = "".join(BARS[height(spent.get(day, Decimal(0)), most)] for day in days)
        lines.append(f"{currency} │{bars}│ {sum(spent.values()):,f} in all, {most:,f} on the highest day")
    return lines


def height(cost: Decimal, most: Decimal) -> int:
    """Which bar: none for nothing, the lowest for the least that was spent, the highest for the most."""
    if cost <= 0 or most <= 0:
        return 0
    return max(1, round(cost / most * (len(BARS) - 1)))


def _row(each: Any) -> dict[str, Any]:
    return {
        "day": each.day.isoformat(),
        "currency": each.currency,
        "cost_micros": each.cost_micros,
        "impressions": each.impressions,
        "clicks": each.clicks,
        "conversions": str(each.conversions),
    }
