"""Google's own messages for Google Ads, by which replies of the simulator are parsed; strict, so nothing drifts.

    check_search("v26", page)     check_stream("v26", chunks)     check_failure(reply)

Only tests import the package; it belongs to no part of the product.
"""

import importlib
from functools import cache
from typing import Any

from google.protobuf import json_format
from google.rpc import error_details_pb2

VERSIONS = ("v23", "v24", "v25", "v26")
FAILURE = "google.ads.googleads.{}.errors.GoogleAdsFailure"


@cache
def message_class(version: str, path: str, name: str) -> Any:
    """The protobuf class of a message, for example `services.types.google_ads_service`, `SearchGoogleAdsResponse`."""
    module = importlib.import_module(f"google.ads.googleads.{version}.{path}")
    return getattr(module, name).pb()


def check_search(version: str, page: dict[str, Any]) -> Any:
    """A page of `search`, parsed."""
    kind = message_class(version, "services.types.google_ads_service", "SearchGoogleAdsResponse")
    return json_format.ParseDict(page, kind())


def check_stream(version: str, chunks: list[dict[str, Any]]) -> list[Any]:
    """The chunks of `searchStream`, parsed."""
    kind = message_class(version, "services.types.google_ads_service", "SearchGoogleAdsStreamResponse")
    return [json_format.ParseDict(chunk, kind()) for chunk in chunks]


def check_accessible(version: str, reply: dict[str, Any]) -> list[str]:
    """The names of a `listAccessibleCustomers`, parsed."""
    kind = message_class(version, "services.types.customer_service", "ListAccessibleCustomersResponse")
    return list(json_format.ParseDict(reply, kind()).resource_names)


def check_failure(reply: Any, version: str = "v26") -> dict[str, Any]:
    """The one error of a failed call, after each of its details was parsed as the message that it says it is."""
    envelope = reply[-1] if isinstance(reply, list) else reply
    found: dict[str, Any] = {}
    for detail in envelope["error"].get("details", []):
        kind = detail["@type"].removeprefix("type.googleapis.com/")
        body = {key: value for key, value in detail.items() if key != "@type"}
        if kind == "google.rpc.ErrorInfo":
            json_format.ParseDict(body, error_details_pb2.ErrorInfo())
            continue
        assert kind == FAILURE.format(version), kind
        parsed = json_format.ParseDict(body, message_class(version, "errors.types.errors", "GoogleAdsFailure")())
        assert parsed.request_id
        (error,) = parsed.errors
        assert error.error_code.WhichOneof("error_code")
        (found,) = detail["errors"]
    return found
