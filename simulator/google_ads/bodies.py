"""Request bodies, read as strictly as protobuf's JSON parser reads them: unknown names and wrong types are 400."""

from typing import Any, Literal, TypeVar

import msgspec

from simulator.exchange import Request
from simulator.google_ads.failures import bad_request, failure
from simulator.google_ads.fields import camel

SummaryRow = Literal["UNSPECIFIED", "UNKNOWN", "NO_SUMMARY_ROW", "SUMMARY_ROW_WITH_RESULTS", "SUMMARY_ROW_ONLY"]
_KNOWN_PARAMETERS = frozenset({"alt", "fields", "prettyPrint", "$.xgafv", "key", "quotaUser", "access_token"})


class SearchSettings(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a search returns besides its rows."""

    omit_results: bool = False
    return_summary_row: bool = False
    return_total_results_count: bool = False


class SearchBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of `googleAds:search`."""

    query: str = ""
    page_token: str = ""
    page_size: int = 0
    validate_only: bool = False
    search_settings: SearchSettings = msgspec.field(default_factory=SearchSettings)


class StreamBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of `googleAds:searchStream`."""

    query: str = ""
    summary_row_setting: SummaryRow = "UNSPECIFIED"


T = TypeVar("T", SearchBody, StreamBody)


def read_search(request: Request) -> SearchBody:
    """Return the body of a search.

    Raises: AdsFailure 400.
    """
    body = _read(request, SearchBody)
    if body.page_size:
        raise failure("PAGE_SIZE_NOT_SUPPORTED", "Setting the page size is not supported.")
    if body.validate_only and body.page_token:
        raise failure("VALIDATE_ONLY_REQUEST_HAS_PAGE_TOKEN", "A request that is only validated has no page token.")
    if body.validate_only and body.search_settings.return_summary_row:
        raise failure("CANNOT_RETURN_SUMMARY_ROW_FOR_VALIDATE_ONLY_REQUESTS", "There is no summary of a validation.")
    return body


def read_stream(request: Request) -> StreamBody:
    """Return the body of a stream.

    Raises: AdsFailure 400.
    """
    return _read(request, StreamBody)


def check_parameters(request: Request) -> None:
    """Refuse parameters in the address that no method has.

    Raises: AdsFailure 400.
    """
    for name, _ in request.query:
        if name not in _KNOWN_PARAMETERS:
            raise bad_request(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message."
            )


def _read(request: Request, kind: type[T]) -> T:
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise bad_request(f"Invalid content type {content_type}; a body is application/json.")
    try:
        body = msgspec.convert(_camelled(msgspec.json.decode(request.body or b"{}")), kind)
    except msgspec.DecodeError as error:
        raise bad_request(f"Invalid JSON payload received. {error}") from None
    if not body.query:
        raise failure("REQUIRED_FIELD_MISSING", "The required field was not present.", trigger="query")
    return body


def _camelled(value: Any) -> Any:
    """Return names in the form of JSON; protobuf reads the original names too, and null as absent."""
    if not isinstance(value, dict):
        return value
    return {camel(name): _camelled(one) for name, one in value.items() if one is not None}
