"""`python -m simulator`: start, print the address, serve until SIGTERM or SIGINT."""

import argparse
import asyncio
import gc
import signal
import sys

import msgspec

from simulator.app import Family, Simulator
from simulator.google import Google
from simulator.google_ads import GoogleAds
from simulator.microsoft import Microsoft
from simulator.options import DEFAULT_REDIRECT, Options
from simulator.server import Server
from simulator.third_parties import third_party_families


def families(simulator: Simulator) -> list[Family]:
    """Return the providers that are played."""
    google = Google(simulator)
    ads = GoogleAds(simulator, google)
    return [google, ads, Microsoft(simulator), *third_party_families(simulator)]


def main() -> None:
    """Run from the command line."""
    arguments = _parser().parse_args()
    defaults = Options()
    options = Options(
        port=arguments.port,
        seed=arguments.seed,
        people=arguments.people,
        messages=arguments.messages,
        events=arguments.events,
        accounts=arguments.accounts,
        ad_accounts=arguments.ad_accounts,
        ad_campaigns=arguments.ad_campaigns,
        ad_days=arguments.ad_days,
        quota_scale=arguments.quota_scale,
        page_limit=arguments.page_limit,
        epoch=arguments.epoch,
        redirect_uris=tuple(arguments.redirect_uri) or (DEFAULT_REDIRECT,),
        client_id=arguments.client_id or defaults.client_id,
        client_secret=arguments.client_secret or defaults.client_secret,
        project_id=arguments.project or defaults.project_id,
    )
    gc.set_threshold(100_000, 50, 1_000)  # A hundred thousand contacts are not worth looking through again and again.
    asyncio.run(_serve(options, as_json=arguments.json))


async def _serve(options: Options, *, as_json: bool) -> None:
    simulator = Simulator(options, families)
    server = Server(simulator)
    listening = await server.start(options.port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.stdout.write((_description(simulator) if as_json else _talk(simulator)) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await server.close(listening)


def _description(simulator: Simulator) -> str:
    options = simulator.options
    facts = {
        "url": simulator.address,
        "seed": options.seed,
        "accounts": [account.email for account in simulator.world.accounts],
        "client_id": options.client_id,
        "client_secret": options.client_secret,
        "redirect_uris": options.redirect_uris,
        "microsoft": {
            "accounts": [account.email for account in simulator.world.office],
            "client_id": options.microsoft_client_id,
            "client_secret": options.microsoft_client_secret,
        },
    }
    return msgspec.json.encode(facts).decode()


def _talk(simulator: Simulator) -> str:
    """Return the address alone on the first line, and below what is played there and for whom."""
    world = simulator.world
    accounts = {"Google": [one.email for one in world.accounts], "Microsoft": [one.email for one in world.office]}
    lines = [simulator.address]
    for family in simulator.families:
        name = type(family).__name__
        lines.append(f"  {name}: {', '.join(sorted(family.hosts))}")
        lines += [f"    accounts: {', '.join(accounts[name])}"] if name in accounts else []
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    defaults = Options()
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="Plays the providers on loopback and prints its address as the first line.",
        epilog="example: python -m simulator --port 0 --seed 7 --people 500 --messages 200",
    )
    parser.add_argument("--port", type=int, default=defaults.port, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="the same seed gives the same world")
    parser.add_argument("--people", type=int, default=defaults.people, help="contacts of each account")
    parser.add_argument("--messages", type=int, default=defaults.messages, help="messages of each account")
    parser.add_argument("--events", type=int, default=defaults.events, help="events in each primary calendar")
    parser.add_argument("--accounts", type=int, default=defaults.accounts)
    parser.add_argument("--ad-accounts", type=int, default=defaults.ad_accounts, help="under the manager `bulk`")
    parser.add_argument("--ad-days", type=int, default=0, help="how far back campaigns go at most; 0: years")
    parser.add_argument("--ad-campaigns", type=int, default=defaults.ad_campaigns, help="of each advertising account")
    parser.add_argument("--quota-scale", type=float, default=defaults.quota_scale, help="1.0 is the provider's own")
    parser.add_argument("--page-limit", type=int, default=0, help="the most items of any page; 0: the provider's own")
    parser.add_argument("--epoch", type=float, help="time from which the world's dates are counted (default: today)")
    parser.add_argument("--redirect-uri", action="append", default=[], help=f"registered address ({DEFAULT_REDIRECT})")
    parser.add_argument("--client-id", help=defaults.client_id)
    parser.add_argument("--client-secret", help=defaults.client_secret)
    parser.add_argument("--project", help=defaults.project_id)
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of the bare address")
    return parser


if __name__ == "__main__":
    main()
