"""`search` and `searchStream`: a query in, pages or chunks of rows out.

    body ─▶ query ─▶ plan ─▶ rows ─▶ search: one page and a token for the next   searchStream: an array of all chunks

The result of a search is kept, so that its pages fit together whatever changes meanwhile; a result that was dropped is
made again, or its tokens have expired when the world has changed. A token belongs to its query and settings.
Source: the provider sheet, section 8.4; SearchGoogleAdsResponse of google-ads 34.0.0.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import msgspec

from simulator.exchange import JSON_TYPE, Reply
from simulator.google_ads.ads_world import AdsWorld
from simulator.google_ads.bodies import SearchBody, StreamBody
from simulator.google_ads.customers import Customer
from simulator.google_ads.failures import AdsFailure, failure
from simulator.google_ads.fields import FIELDS, camel
from simulator.google_ads.gaql import parse
from simulator.google_ads.gaql_words import QueryRefused
from simulator.google_ads.plan import Plan, make_plan
from simulator.google_ads.rows import Row, Writer, rows_of
from simulator.google_ads.switches import Switches
from simulator.opaque import Mint, fingerprint

_KIND = "google_ads_page"
_KEPT_ROWS = 600_000
_Key = tuple[str, int, float]


class Searches:
    """Carries out queries of callers who were let in."""

    def __init__(self, world: AdsWorld, mint: Mint, switches: Switches) -> None:
        self._world = world
        self._mint = mint
        self._switches = switches
        self._kept: OrderedDict[_Key, list[Row]] = OrderedDict()

    def search(self, customer: Customer, body: SearchBody) -> Reply:
        """Return one page.

        Raises: AdsFailure.
        """
        plan = self._plan(customer, body.query)
        settings = body.search_settings
        if settings.return_summary_row and not plan.metrics:
            raise failure("CANNOT_RETURN_SUMMARY_ROW_FOR_REQUEST_WITHOUT_METRICS", "There are no metrics to sum up.")
        if body.validate_only:
            return _reply({"fieldMask": _mask(plan)})
        key, start = self._place(customer, body)
        rows = self._rows(key, customer, plan)
        limited = rows if plan.query.limit is None else rows[: plan.query.limit]
        end = start + self._switches.page_size
        writer = Writer(plan, zeros=self._switches.zeros)
        page: dict[str, Any] = {}
        shown = limited[start:end]
        if shown and not settings.omit_results:
            page["results"] = msgspec.Raw(writer.rows(shown))
        if end < len(limited) and not settings.omit_results:
            page["nextPageToken"] = self._token(key, end, body)
        if settings.return_total_results_count:
            page["totalResultsCount"] = str(len(rows))
        page["fieldMask"] = _mask(plan)
        if settings.return_summary_row:
            page["summaryRow"] = msgspec.Raw(writer.summary(limited))
        page["queryResourceConsumption"] = str(100 + len(limited))
        return _reply(page)

    def stream(self, customer: Customer, body: StreamBody, request_id: str, broken: bytes | None, after: int) -> Reply:
        """Return all chunks in one array; `broken` is an error that takes the place of what follows `after` chunks.

        Raises: AdsFailure.
        """
        plan = self._plan(customer, body.query)
        summary = body.summary_row_setting in ("SUMMARY_ROW_WITH_RESULTS", "SUMMARY_ROW_ONLY")
        if summary and not plan.metrics:
            raise failure("CANNOT_RETURN_SUMMARY_ROW_FOR_REQUEST_WITHOUT_METRICS", "There are no metrics to sum up.")
        rows = rows_of(plan, customer, self._world)[: plan.query.limit]
        writer = Writer(plan, zeros=self._switches.zeros)
        chunks = [] if body.summary_row_setting == "SUMMARY_ROW_ONLY" else list(self._chunks(plan, writer, rows))
        if summary:
            chunks.append({"fieldMask": _mask(plan), "summaryRow": msgspec.Raw(writer.summary(rows))})
        for chunk in chunks:
            chunk["requestId"] = request_id
        chunks[-1]["queryResourceConsumption"] = str(100 + len(rows))
        return _reply(chunks if broken is None else [*chunks[:after], msgspec.Raw(broken)])

    def _chunks(self, plan: Plan, writer: Writer, rows: list[Row]) -> Iterator[dict[str, Any]]:
        step = self._switches.page_size
        for start in range(0, max(1, len(rows)), step):
            shown = rows[start : start + step]
            results = {"results": msgspec.Raw(writer.rows(shown))} if shown else {}
            yield {**results, "fieldMask": _mask(plan)}

    def _plan(self, customer: Customer, text: str) -> Plan:
        try:
            plan = make_plan(parse(text), customer.today(self._world.now()), self._switches.old_days)
        except QueryRefused as refused:
            raise AdsFailure(400, refused.category, refused.code, str(refused)) from None
        if plan.measured and customer.manager:
            raise failure(
                "REQUESTED_METRICS_FOR_MANAGER",
                "Metrics cannot be requested for a manager; ask its clients one by one.",
            )
        return plan

    def _place(self, customer: Customer, body: SearchBody) -> tuple[_Key, int]:
        """Return which result a search goes on with, and where; without a token, a new one from its beginning."""
        print_ = fingerprint(customer.number, body.query)
        if not body.page_token:
            return (print_, self._world.edition, self._world.known_at()), 0
        token = self._mint.read(_KIND, body.page_token)
        if token is None or token["print"] != print_:
            raise failure("INVALID_PAGE_TOKEN", "The page token is invalid or belongs to another query.")
        settings = body.search_settings
        if settings.return_summary_row != token["summary"]:
            raise failure("INCONSISTENT_RETURN_SUMMARY_ROW_VALUE", "All pages agree about the summary row.")
        if settings.return_total_results_count and not token["total"]:
            raise failure("TOTAL_RESULTS_COUNT_NOT_ORIGINALLY_REQUESTED", "The first page did not ask for the total.")
        if self._world.now() - token["at"] > self._switches.page_token_life_s:
            raise failure("EXPIRED_PAGE_TOKEN", "The page token has expired.")
        return (print_, token["edition"], token["known_at"]), int(token["start"])

    def _token(self, key: _Key, start: int, body: SearchBody) -> str:
        settings = body.search_settings
        return self._mint.make(
            _KIND,
            print=key[0],
            edition=key[1],
            known_at=key[2],
            start=start,
            at=self._world.now(),
            summary=settings.return_summary_row,
            total=settings.return_total_results_count,
        )

    def _rows(self, key: _Key, customer: Customer, plan: Plan) -> list[Row]:
        rows = self._kept.get(key)
        if rows is None:
            if key[1:] != (self._world.edition, self._world.known_at()):
                raise failure("EXPIRED_PAGE_TOKEN", "The page token has expired.")
            rows = rows_of(plan, customer, self._world)
            if len(rows) > self._switches.page_size:
                self._keep(key, rows)
        return rows

    def _keep(self, key: _Key, rows: list[Row]) -> None:
        self._kept[key] = rows
        while len(self._kept) > 1 and sum(len(one) for one in self._kept.values()) > _KEPT_ROWS:
            self._kept.popitem(last=False)


def _mask(plan: Plan) -> str:
    """Return the selected fields as protobuf's JSON writes a field mask."""
    fields = [FIELDS[name] for name in dict.fromkeys(plan.query.fields)]
    return ",".join(f"{camel(field.resource)}.{field.json_name}" for field in fields)


def _reply(body: object) -> Reply:
    return Reply(200, msgspec.json.encode(body), JSON_TYPE)
