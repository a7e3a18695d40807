"""The identity platform of Microsoft as the provider sheet states it, and msal, which speaks to it unpatched."""

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msal
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgraph.generated.models.user import User

from simulator.client import ControlRefused, Simulator
from tests.simulator.calls import post_form
from tests.simulator.microsoft_calls import EVERYTHING, LOGIN, Graph, LoopbackClient, msal_client
from tests.simulator.microsoft_models import parsed

TOKEN = LOGIN + "/common/oauth2/v2.0/token"
MAIL = "Mail.Read offline_access openid profile"
DAY_S = 86_400
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def worker(simulator: Simulator) -> str:
    """The address of an account of an organisation."""
    return str(simulator.facts["microsoft"]["accounts"][0])


@pytest.fixture
def private(simulator: Simulator) -> str:
    """The address of a private account."""
    return str(simulator.facts["microsoft"]["accounts"][2])


def authorize_url(simulator: Simulator, scopes: str = MAIL, tenant: str = "common", **changes: str) -> str:
    asked = {
        "client_id": simulator.facts["microsoft"]["client_id"],
        "redirect_uri": simulator.facts["redirect_uris"][0],
        "response_type": "code",
        "scope": scopes,
        "state": "st&te=1",
    } | changes
    return f"{simulator.url}{LOGIN}/{tenant}/oauth2/v2.0/authorize?{urlencode(asked)}"


def returned(address: str) -> dict[str, str]:
    parts = urlsplit(address)
    return {name: values[0] for name, values in parse_qs(parts.query or parts.fragment).items()}


def exchange(simulator: Simulator, code: str, path: str = TOKEN, **changes: str) -> tuple[int, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": simulator.facts["microsoft"]["client_id"],
        "client_secret": simulator.facts["microsoft"]["client_secret"],
        "redirect_uri": simulator.facts["redirect_uris"][0],
    } | changes
    return post_form(simulator, path, {name: value for name, value in form.items() if value})


def refresh(simulator: Simulator, token: str, path: str = TOKEN, **changes: str) -> tuple[int, Any]:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": simulator.facts["microsoft"]["client_id"],
        "client_secret": simulator.facts["microsoft"]["client_secret"],
    } | changes
    return post_form(simulator, path, form)


def begun(simulator: Simulator, client: Any, scopes: list[str]) -> dict[str, Any]:
    """An authorization that msal began; it warns of every mode but this one."""
    redirect = simulator.facts["redirect_uris"][0]
    return dict(client.initiate_auth_code_flow(scopes, redirect_uri=redirect, response_mode="form_post"))


def reads_profile(simulator: Simulator, access_token: str) -> int:
    return Graph(simulator, access_token).get("/me")[0]


def claims_of(id_token: str) -> dict[str, Any]:
    packed = id_token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))))


def test_msal_goes_from_the_authorization_to_tokens_and_refreshes_them(simulator: Simulator, worker: str) -> None:
    network = LoopbackClient(simulator.url)
    client = msal_client(simulator, http_client=network)
    flow = begun(simulator, client, EVERYTHING)
    back = returned(simulator.consent(flow["auth_uri"], worker))
    tokens = client.acquire_token_by_auth_code_flow(flow, back)
    assert "error" not in tokens, tokens
    assert set(tokens["scope"].split()) == {*EVERYTHING, "openid", "profile"}
    assert tokens["id_token_claims"]["preferred_username"] == worker
    assert reads_profile(simulator, tokens["access_token"]) == 200
    account = client.get_accounts()[0]
    silent = client.acquire_token_silent_with_error(["Mail.Read"], account, force_refresh=True)
    assert silent["access_token"] != tokens["access_token"]
    fresh = client.acquire_token_by_refresh_token(tokens["refresh_token"], ["Mail.Read"])
    assert fresh["token_source"] == "identity_provider"
    assert fresh["refresh_token"] not in {tokens["refresh_token"], None}
    assert network.asked[0] == "GET login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"


def test_msal_is_told_of_the_cloud_and_of_hosts_that_are_no_part_of_it(simulator: Simulator, worker: str) -> None:
    tokens = simulator.grant(worker, EVERYTHING)
    network = LoopbackClient(simulator.url)
    client = msal_client(simulator, http_client=network)
    flow = begun(simulator, client, EVERYTHING)
    client.acquire_token_by_auth_code_flow(flow, returned(simulator.consent(flow["auth_uri"], worker)))
    simulator.control("entra", {"revoke_sessions": worker})
    simulator.advance(2)
    failed = client.acquire_token_silent_with_error(["Mail.Read"], client.get_accounts()[0], force_refresh=True)
    assert failed["error"] == "invalid_grant"
    assert "GET login.microsoftonline.com/common/discovery/instance" in network.asked
    assert refresh(simulator, tokens["refresh_token"])[1]["error_codes"] == [50173]
    with pytest.raises(ValueError, match="invalid_instance"):
        msal_client(simulator, authority="https://login.elsewhere.example/common")


@pytest.mark.parametrize("tenant", ["common", "organizations", "office1.example", "its own id"])
def test_an_account_of_an_organisation_signs_in_at_every_tenant_that_it_belongs_to(
    simulator: Simulator, worker: str, tenant: str
) -> None:
    own = next(one["tenant"] for one in simulator.accounts("microsoft") if one["email"] == worker)
    place = own if tenant == "its own id" else tenant
    code = returned(simulator.consent(authorize_url(simulator, tenant=place), worker))["code"]
    status, tokens = exchange(simulator, code, f"{LOGIN}/{place}/oauth2/v2.0/token")
    assert status == 200
    assert claims_of(tokens["id_token"])["tid"] == own
    with pytest.raises(ControlRefused, match="AADSTS50020"):
        simulator.consent(authorize_url(simulator, tenant="consumers"), worker)


def test_a_private_account_belongs_to_consumers(simulator: Simulator, private: str) -> None:
    code = returned(simulator.consent(authorize_url(simulator, tenant="consumers"), private))["code"]
    _, tokens = exchange(simulator, code)
    assert not tokens["access_token"].startswith("eyJ")
    status, reply = refresh(simulator, tokens["refresh_token"], f"{LOGIN}/organizations/oauth2/v2.0/token")
    assert (status, reply["error"], reply["error_codes"]) == (400, "unauthorized_client", [50020])
    assert refresh(simulator, tokens["refresh_token"], f"{LOGIN}/nowhere.example/oauth2/v2.0/token")[0] == 400
    with pytest.raises(ControlRefused, match="AADSTS90002"):
        simulator.consent(authorize_url(simulator, tenant="nowhere.example"), private)


def test_the_documents_name_every_endpoint_but_none_to_revoke_a_token(simulator: Simulator) -> None:
    status, raw = simulator.request("GET", f"{LOGIN}/organizations/v2.0/.well-known/openid-configuration")
    document = json.loads(raw)
    assert status == 200
    assert document["token_endpoint"] == "https://login.microsoftonline.com/organizations/oauth2/v2.0/token"
    assert document["issuer"] == "https://login.microsoftonline.com/{tenantid}/v2.0"
    assert not [name for name in document if "revo" in name]
    assert simulator.request("POST", f"{LOGIN}/common/oauth2/v2.0/revoke", b"token=x")[0] == 404


def test_an_id_token_is_signed_with_a_published_key(simulator: Simulator, worker: str) -> None:
    code = returned(simulator.consent(authorize_url(simulator, nonce="n-1"), worker))["code"]
    _, tokens = exchange(simulator, code)
    head, body, signature = tokens["id_token"].split(".")
    keys = json.loads(simulator.request("GET", f"{LOGIN}/common/discovery/v2.0/keys")[1])["keys"]
    numbers = [int.from_bytes(_decoded(keys[0][name])) for name in ("e", "n")]
    public = rsa.RSAPublicNumbers(*numbers).public_key()
    public.verify(_decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert claims_of(tokens["id_token"])["nonce"] == "n-1"


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_consent_page_is_a_form_without_boxes_that_works_without_the_control_door(
    simulator: Simulator, worker: str
) -> None:
    url = authorize_url(simulator, login_hint=worker)
    status, page = simulator.request("GET", url.removeprefix(simulator.url))
    assert status == 200
    assert b"checkbox" not in page
    assert f'value="{worker}" checked'.encode() in page
    action = re.search(rb'action="([^"]+)"', page)
    assert action is not None
    for mode, status in (("query", 302), ("form_post", 200)):
        form = [*returned(url).items(), ("response_mode", mode), ("account", worker), ("decision", "accept")]
        sent = {"content-type": "application/x-www-form-urlencoded"}
        got, raw = simulator.request(
            "POST", action[1].decode(), urlencode([*form, ("tenant", "common")]).encode(), sent
        )
        assert (got, b'name="code"' in raw) == (status, mode == "form_post")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"redirect_uri": "http://localhost:8765/callback/"}, "AADSTS50011"),
        ({"client_id": "someone-else"}, "AADSTS700016"),
    ],
)
def test_a_request_that_cannot_be_trusted_ends_on_an_error_page(
    simulator: Simulator, changes: dict[str, str], word: str
) -> None:
    url = authorize_url(simulator, **changes)
    with pytest.raises(ControlRefused, match=word):
        simulator.consent(url)
    status, page = simulator.request("GET", url.removeprefix(simulator.url))
    assert status == 400
    assert word.encode() in page


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "Mail.Everything"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"response_mode": "pigeon"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_any_other_request_out_of_order_is_told_to_the_application(
    simulator: Simulator, changes: dict[str, str], error: str
) -> None:
    back = returned(simulator.consent(authorize_url(simulator, **changes)))
    assert (back["error"], back["state"]) == (error, "st&te=1")


def test_a_person_may_decline(simulator: Simulator, worker: str) -> None:
    back = returned(simulator.consent(authorize_url(simulator), worker, deny=True))
    assert back["error"] == "access_denied"
    assert back["error_description"].startswith("AADSTS65004")


def test_a_redirect_that_was_registered_later_is_accepted_and_a_fragment_may_carry_the_answer(
    simulator: Simulator,
) -> None:
    own = "http://127.0.0.1:4711/back"
    simulator.control("entra", {"register_redirects": [own]})
    assert simulator.consent(authorize_url(simulator, redirect_uri=own)).startswith(own + "?code=")
    url = authorize_url(simulator, redirect_uri=own, response_mode="fragment")
    assert simulator.consent(url).startswith(own + "#code=")


def test_pkce_must_match_when_a_challenge_was_sent(simulator: Simulator) -> None:
    url = authorize_url(simulator, code_challenge=CHALLENGE, code_challenge_method="S256")
    for verifier, codes in (("", [501481]), ("w" * 64, [501481]), (VERIFIER, None)):
        code = returned(simulator.consent(url))["code"]
        assert exchange(simulator, code, code_verifier=verifier)[1].get("error_codes") == codes


def test_a_code_works_once_for_ten_minutes_at_its_own_address(simulator: Simulator) -> None:
    def code() -> str:
        return returned(simulator.consent(authorize_url(simulator)))["code"]

    first = code()
    assert exchange(simulator, first)[0] == 200
    assert exchange(simulator, first)[1]["error_codes"] == [54005]
    assert exchange(simulator, code(), redirect_uri="http://localhost:1/")[1]["error_codes"] == [500112]
    late = code()
    simulator.advance(601)
    assert exchange(simulator, late)[1]["error_codes"] == [70008]
    assert exchange(simulator, "made-up")[1]["error"] == "invalid_grant"


def test_a_refresh_token_comes_only_with_offline_access_and_an_id_token_only_with_openid(
    simulator: Simulator,
) -> None:
    code = returned(simulator.consent(authorize_url(simulator, "https://graph.microsoft.com/Mail.Read")))["code"]
    _, tokens = exchange(simulator, code, client_info="1")
    assert set(tokens) == {
        "token_type", "scope", "expires_in", "ext_expires_in", "access_token", "client_info",
    }  # fmt: skip
    assert tokens["scope"] == "Mail.Read"
    assert tokens["expires_in"] == 3_599
    packed = json.loads(_decoded(tokens["client_info"]))
    assert set(packed) == {"uid", "utid"}


def test_each_refresh_gives_a_new_token_and_the_old_one_lives_on_for_its_ninety_days(
    simulator: Simulator, worker: str
) -> None:
    first = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    simulator.advance(60 * DAY_S)
    second = refresh(simulator, first)[1]["refresh_token"]
    assert second != first
    assert refresh(simulator, first)[0] == 200
    simulator.advance(31 * DAY_S)
    assert refresh(simulator, first)[1]["error_codes"] == [700082]
    assert refresh(simulator, second)[0] == 200


def test_rotation_may_be_strict_or_absent(simulator: Simulator, worker: str) -> None:
    simulator.control("entra", {"rotation": "strict"})
    first = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    _, reply = refresh(simulator, first)
    assert refresh(simulator, first)[1]["error"] == "invalid_grant"
    simulator.control("entra", {"rotation": "none"})
    assert "refresh_token" not in refresh(simulator, reply["refresh_token"])[1]


def test_a_refresh_may_ask_for_less_but_not_for_more(simulator: Simulator, worker: str) -> None:
    token = simulator.grant(worker, ["Mail.Read", "Contacts.Read"])["refresh_token"]
    assert refresh(simulator, token, scope="Contacts.Read")[1]["scope"] == "Contacts.Read"
    status, reply = refresh(simulator, token, scope="Calendars.Read offline_access")
    assert (status, reply["error"], reply["suberror"]) == (400, "invalid_grant", "consent_required")
    assert refresh(simulator, token, scope="Mail.Everything")[1]["error"] == "invalid_scope"
    simulator.grant(worker, ["Calendars.Read"])
    assert refresh(simulator, token, scope="Calendars.Read")[0] == 200


def test_a_refusal_has_every_field_that_microsoft_gives(simulator: Simulator, worker: str) -> None:
    token = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    simulator.control("entra", {"remove_consent": worker})
    status, reply = refresh(simulator, token)
    assert status == 400
    assert set(reply) == {
        "error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri", "suberror",
    }  # fmt: skip
    assert reply["error_description"].startswith("AADSTS65001: ")
    assert "Correlation ID: " + reply["correlation_id"] in reply["error_description"]


@pytest.mark.parametrize(
    ("act", "code"),
    [("revoke_sessions", 50173), ("remove_consent", 65001), ("disable_account", 50057), ("drop_account", 50034)],
)
def test_everything_that_ends_a_grant_says_so_by_its_code(
    simulator: Simulator, worker: str, act: str, code: int
) -> None:
    tokens = simulator.grant(worker, ["Mail.Read", "User.Read"])
    neighbour = simulator.grant(simulator.facts["microsoft"]["accounts"][1], ["User.Read"])
    simulator.control("entra", {act: worker})
    assert refresh(simulator, tokens["refresh_token"])[1]["error_codes"] == [code]
    assert refresh(simulator, neighbour["refresh_token"])[0] == 200
    lives_on = 401 if act == "drop_account" else 200
    assert reads_profile(simulator, tokens["access_token"]) == lives_on


def test_consent_after_a_removal_starts_a_new_grant(simulator: Simulator, worker: str) -> None:
    old = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    simulator.control("entra", {"remove_consent": worker})
    new = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    assert refresh(simulator, new)[0] == 200
    assert refresh(simulator, old)[0] == 400


def test_scripts_play_every_code_of_the_table_once_or_as_long_as_they_stand(simulator: Simulator, worker: str) -> None:
    token = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    waiting = [{"code": 50076, "claims": "{}"}, {"code": 90055, "retry_after": 7}, {"error": "odd", "status": 418}]
    simulator.control("entra", {"next_errors": waiting, "standing_errors": {worker: 53003}})
    assert refresh(simulator, token)[1]["error"] == "interaction_required"
    simulator.control("entra", {"standing_errors": {}})
    assert refresh(simulator, token)[1]["claims"] == "{}"
    assert refresh(simulator, token)[0] == 429
    assert refresh(simulator, token)[0] == 418
    assert refresh(simulator, token)[0] == 200
    with pytest.raises(ControlRefused, match="no switch"):
        simulator.control("entra", {"rotatoin": "strict"})


def test_a_bad_client_is_a_401_that_says_nothing_about_the_grant(simulator: Simulator, worker: str) -> None:
    token = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    status, reply = refresh(simulator, token, client_secret="wrong")
    assert (status, reply["error"], reply["error_codes"]) == (401, "invalid_client", [7000215])
    simulator.control("entra", {"client_error": 7000222})
    assert refresh(simulator, token)[1]["error_codes"] == [7000222]
    simulator.control("entra", {"client_error": None})
    assert refresh(simulator, token, client_id="x")[1]["error"] == "unauthorized_client"
    assert refresh(simulator, token)[0] == 200


def test_a_request_without_what_it_needs_names_what_is_missing(simulator: Simulator) -> None:
    status, reply = post_form(simulator, TOKEN, {"grant_type": "refresh_token"})
    assert (status, reply["error"], "client_id" in reply["error_description"]) == (400, "invalid_request", True)
    client = simulator.facts["microsoft"]
    form = {"grant_type": "password", "client_id": client["client_id"], "client_secret": client["client_secret"]}
    assert post_form(simulator, TOKEN, form)[1]["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("error", ["access_denied", "consent_required"])
def test_an_organisation_may_want_its_administrator_to_agree_first(
    simulator: Simulator, worker: str, error: str
) -> None:
    simulator.control("entra", {"admin_approval": [worker], "admin_approval_error": error})
    back = returned(simulator.consent(authorize_url(simulator), worker))
    assert back["error"] == error
    assert back["error_description"].startswith("AADSTS90094")
    assert "code" in returned(simulator.consent(authorize_url(simulator, "User.Read"), worker))
    simulator.control("entra", {"admin_approval": []})
    assert "code" in returned(simulator.consent(authorize_url(simulator), worker))


def test_a_client_that_can_be_challenged_gets_long_tokens_that_end_when_they_must(
    simulator: Simulator, worker: str
) -> None:
    token = simulator.grant(worker, ["User.Read"])["refresh_token"]
    capable = json.dumps({"access_token": {"xms_cc": {"values": ["CP1"]}}})
    plain, able = refresh(simulator, token)[1], refresh(simulator, token, claims=capable)[1]
    assert able["expires_in"] > 80_000
    assert able["refresh_in"] == able["expires_in"] // 2
    simulator.control("entra", {"challenge": worker})
    assert reads_profile(simulator, plain["access_token"]) == 200
    graph = Graph(simulator, able["access_token"])
    assert graph.get("/me")[0] == 401
    challenge = graph.headers["www-authenticate"]
    assert 'error="insufficient_claims"' in challenge
    claims = base64.b64decode(challenge.split('claims="')[1].split('"')[0]).decode()
    assert reads_profile(simulator, refresh(simulator, token, claims=capable)[1]["access_token"]) == 401
    assert reads_profile(simulator, refresh(simulator, token, claims=claims)[1]["access_token"]) == 200


def test_msal_answers_a_challenge(simulator: Simulator, worker: str) -> None:
    client = msal_client(simulator, client_capabilities=["CP1"])
    flow = begun(simulator, client, ["User.Read"])
    first = client.acquire_token_by_auth_code_flow(flow, returned(simulator.consent(flow["auth_uri"], worker)))
    simulator.control("entra", {"challenge": worker})
    graph = Graph(simulator, first["access_token"])
    assert graph.get("/me")[0] == 401
    claims = base64.b64decode(graph.headers["www-authenticate"].split('claims="')[1].split('"')[0]).decode()
    answered = client.acquire_token_silent_with_error(["User.Read"], client.get_accounts()[0], claims_challenge=claims)
    assert reads_profile(simulator, answered["access_token"]) == 200


def test_msal_keeps_an_error_for_a_minute_unless_it_is_made_anew(simulator: Simulator, worker: str) -> None:
    token = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    client = msal_client(simulator)
    simulator.control("entra", {"next_errors": [{"code": 50076}]})
    assert client.acquire_token_by_refresh_token(token, ["Mail.Read"])["error"] == "invalid_grant"
    assert client.acquire_token_by_refresh_token(token, ["Mail.Read"])["error"] == "invalid_grant"
    assert "error" not in msal_client(simulator).acquire_token_by_refresh_token(token, ["Mail.Read"])


def test_msal_raises_for_an_outage(simulator: Simulator, worker: str) -> None:
    token = simulator.grant(worker, ["Mail.Read"])["refresh_token"]
    client = msal_client(simulator)
    simulator.fault({"status": 503}, path="/token$")
    with pytest.raises(msal.exceptions.MsalServiceError):
        client.acquire_token_by_refresh_token(token, ["Mail.Read"])


@pytest.mark.parametrize("sent", ["", "made-up"])
def test_graph_serves_nobody_without_a_live_token(simulator: Simulator, sent: str) -> None:
    graph = Graph(simulator, sent)
    status, reply = graph.get("/me")
    assert (status, reply["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert set(reply["error"]["innerError"]) == {"date", "request-id", "client-request-id"}
    assert graph.headers["www-authenticate"].startswith('Bearer realm=""')


def test_an_access_token_ends_after_its_hour(simulator: Simulator, worker: str) -> None:
    tokens = simulator.grant(worker, ["User.Read"])
    simulator.advance(3_598)
    assert reads_profile(simulator, tokens["access_token"]) == 200
    simulator.advance(2)
    assert reads_profile(simulator, tokens["access_token"]) == 401
    fresh = refresh(simulator, tokens["refresh_token"])[1]["access_token"]
    simulator.control("entra", {"expire_access_tokens": worker})
    assert reads_profile(simulator, fresh) == 401


def test_me_says_who_it_is_as_graph_s_own_model_reads_it(simulator: Simulator) -> None:
    for account in simulator.accounts("microsoft"):
        graph = Graph(simulator, simulator.grant(account["email"], ["User.Read"])["access_token"])
        user = parsed(graph.get("/me")[1], User)
        assert (user.id, user.user_principal_name) == (account["oid"], account["email"])
        assert user.display_name == account["name"]
        assert graph.get(f"/users/{account['oid']}")[1]["id"] == account["oid"]
    addresses = [
        Graph(simulator, simulator.grant(one["email"], ["User.Read"])["access_token"]).get("/me", select="id,mail")[1]
        for one in simulator.accounts("microsoft")
    ]
    assert [one["mail"] is None for one in addresses] == [False, True, False]
    assert all(set(one) == {"@odata.context", "id", "mail"} for one in addresses)


def test_a_missing_permission_is_a_403(simulator: Simulator, worker: str) -> None:
    graph = Graph(simulator, simulator.grant(worker, ["Mail.Read"])["access_token"])
    status, reply = graph.get("/me")
    assert (status, reply["error"]["code"]) == (403, "ErrorAccessDenied")


@pytest.mark.parametrize(
    ("where", "query"),
    [("/me", {"select": "shoeSize"}), ("/me", {"odd": "1"}), ("/nobody", {}), ("/me/fridge", {})],
)
def test_a_call_out_of_order_is_a_400(simulator: Simulator, worker: str, where: str, query: dict[str, str]) -> None:
    graph = Graph(simulator, simulator.grant(worker, ["User.Read"])["access_token"])
    assert graph.get(where, **query)[0] == 400


def test_the_expiry_may_be_worded_in_every_way(simulator: Simulator, worker: str) -> None:
    token = simulator.grant(worker, ["User.Read"])["refresh_token"]
    simulator.control("entra", {"expires_in": "string"})
    assert refresh(simulator, token)[1]["expires_in"] == "3599"
    simulator.control("entra", {"expires_in": "missing"})
    assert "expires_in" not in refresh(simulator, token)[1]


def test_no_secret_of_a_token_request_is_written_down(simulator: Simulator, worker: str) -> None:
    token = simulator.grant(worker, ["User.Read"])["refresh_token"]
    refresh(simulator, token)
    entry = simulator.requests(path="/token")[-1]
    assert entry["form"] == {"grant_type": "refresh_token"}
    assert entry["account"] == worker
    assert token not in json.dumps(simulator.requests())


def test_google_and_microsoft_do_not_meet(simulator: Simulator, worker: str, account: str) -> None:
    assert [one["email"] for one in simulator.accounts()] == simulator.facts["accounts"]
    assert worker not in simulator.facts["accounts"]
    tokens = simulator.grant(worker, ["User.Read"])
    assert simulator.request("GET", "/people.googleapis.com/v1/people/me?personFields=names", headers={
        "authorization": f"Bearer {tokens['access_token']}"})[0] == 401  # fmt: skip
    assert simulator.control("world", provider="microsoft") != simulator.control("world")
