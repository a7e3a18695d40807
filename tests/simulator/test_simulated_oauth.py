"""The rules of consent and tokens, each as the provider sheet states it."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import google_auth_httplib2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials

from simulator.client import ControlRefused, Simulator
from tests.simulator.calls import AUTH, PEOPLE, get, post_form, reason
from tests.simulator.official_client import LoopbackHttp

TOKEN = "/oauth2.googleapis.com/token"
REVOKE = "/oauth2.googleapis.com/revoke"
CONTACTS, GMAIL = AUTH + "contacts.readonly", AUTH + "gmail.readonly"
DAY_S = 86_400
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def authorize_url(simulator: Simulator, scopes: str = CONTACTS, **changes: str) -> str:
    asked = {
        "client_id": simulator.facts["client_id"],
        "redirect_uri": simulator.facts["redirect_uris"][0],
        "response_type": "code",
        "scope": scopes,
        "access_type": "offline",
        "state": "st&te=1",
    } | changes
    return simulator.url + "/accounts.google.com/o/oauth2/v2/auth?" + urlencode(asked)


def returned(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def exchange(simulator: Simulator, code: str, **changes: str) -> tuple[int, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": simulator.facts["client_id"],
        "client_secret": simulator.facts["client_secret"],
        "redirect_uri": simulator.facts["redirect_uris"][0],
    } | changes
    return post_form(simulator, TOKEN, {name: value for name, value in form.items() if value})


def refresh(simulator: Simulator, token: str, **changes: str) -> tuple[int, Any]:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": simulator.facts["client_id"],
        "client_secret": simulator.facts["client_secret"],
    } | changes
    return post_form(simulator, TOKEN, form)


def reads_contacts(simulator: Simulator, access_token: str) -> int:
    return get(simulator, PEOPLE + "/people/me/connections", access_token, personFields="names")[0]


def test_a_consent_returns_state_code_and_scopes_and_the_code_gives_tokens(simulator: Simulator) -> None:
    back = returned(simulator.consent(authorize_url(simulator)))
    assert back["state"] == "st&te=1"
    assert back["scope"] == CONTACTS
    status, tokens = exchange(simulator, back["code"])
    assert status == 200
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3599, CONTACTS)
    assert tokens["refresh_token"].startswith("1//")
    assert "id_token" not in tokens
    assert reads_contacts(simulator, tokens["access_token"]) == 200


def test_a_person_may_deny_or_tick_only_some_scopes(simulator: Simulator) -> None:
    both = authorize_url(simulator, f"openid {CONTACTS} {GMAIL}")
    assert returned(simulator.consent(both, deny=True)) == {"state": "st&te=1", "error": "access_denied"}
    some = returned(simulator.consent(both, scopes=[CONTACTS]))
    assert some["scope"].split() == [CONTACTS, "openid"]
    _, tokens = exchange(simulator, some["code"])
    assert GMAIL not in tokens["scope"]


def test_the_consent_page_is_a_form_that_works_without_the_control_door(simulator: Simulator, account: str) -> None:
    url = authorize_url(simulator, f"{CONTACTS} {GMAIL}", login_hint=account)
    status, page = simulator.request("GET", url.removeprefix(simulator.url))
    assert status == 200
    assert page.count(b'type="checkbox"') == 2
    assert f'value="{account}" checked'.encode() in page
    form = [*returned(url).items(), ("account", account), ("tick", CONTACTS), ("decision", "allow")]
    line = "/accounts.google.com/signin/oauth/consent"
    status, raw = simulator.request(
        "POST", line, urlencode(form).encode(), {"content-type": "application/x-www-form-urlencoded"}
    )
    assert (status, raw) == (302, b"")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"redirect_uri": "http://localhost:8765/callback/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://LOCALHOST:8765/callback"}, "redirect_uri_mismatch"),
        ({"client_id": "someone-else"}, "invalid_client"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": AUTH + "everything"}, "invalid_scope"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"access_type": "forever"}, "invalid_request"),
    ],
)
def test_a_request_out_of_order_never_returns_to_the_application(
    simulator: Simulator, changes: dict[str, str], word: str
) -> None:
    url = authorize_url(simulator, **changes)
    with pytest.raises(ControlRefused, match=word):
        simulator.consent(url)
    status, page = simulator.request("GET", url.removeprefix(simulator.url))
    assert status >= 400
    assert word.encode() in page


def test_a_redirect_that_was_registered_later_is_accepted(simulator: Simulator) -> None:
    own = "http://127.0.0.1:4711/back"
    simulator.control("oauth", {"register_redirects": [own]})
    assert simulator.consent(authorize_url(simulator, redirect_uri=own)).startswith(own + "?")


def test_pkce_must_match_when_a_challenge_was_sent(simulator: Simulator) -> None:
    url = authorize_url(simulator, code_challenge=CHALLENGE, code_challenge_method="S256")
    for verifier, status in (("", 400), ("w" * 64, 400), (VERIFIER, 200)):
        code = returned(simulator.consent(url))["code"]
        assert exchange(simulator, code, code_verifier=verifier)[0] == status


def test_a_code_works_once_and_its_second_use_ends_what_the_first_gave(simulator: Simulator) -> None:
    code = returned(simulator.consent(authorize_url(simulator)))["code"]
    _, tokens = exchange(simulator, code)
    assert exchange(simulator, code)[1]["error"] == "invalid_grant"
    assert reads_contacts(simulator, tokens["access_token"]) == 401
    assert refresh(simulator, tokens["refresh_token"])[1]["error"] == "invalid_grant"


def test_a_code_lives_ten_minutes(simulator: Simulator) -> None:
    code = returned(simulator.consent(authorize_url(simulator)))["code"]
    simulator.advance(601)
    assert exchange(simulator, code)[1]["error"] == "invalid_grant"


def test_a_code_is_bound_to_its_redirect_and_client(simulator: Simulator) -> None:
    code = returned(simulator.consent(authorize_url(simulator)))["code"]
    assert exchange(simulator, code, redirect_uri="http://localhost:1/")[1]["error"] == "invalid_grant"
    code = returned(simulator.consent(authorize_url(simulator)))["code"]
    assert exchange(simulator, code, client_id="simulator-client-2.apps.googleusercontent.com")[0] == 400


def test_a_refresh_token_comes_only_offline_and_at_first_or_by_prompt(simulator: Simulator, account: str) -> None:
    def gets(**changes: str) -> bool:
        code = returned(simulator.consent(authorize_url(simulator, **changes), account))["code"]
        return "refresh_token" in exchange(simulator, code)[1]

    assert not gets(access_type="online")
    simulator.control("oauth", {"revoke_account": account})
    assert gets()
    assert not gets()
    assert gets(prompt="consent")


def test_incremental_consent_joins_what_was_granted_before(simulator: Simulator, account: str) -> None:
    simulator.grant(account, [CONTACTS])
    assert simulator.grant(account, [GMAIL])["scope"] == GMAIL
    assert set(simulator.grant(account, [GMAIL], include_granted_scopes="true")["scope"].split()) == {CONTACTS, GMAIL}


def test_an_access_token_ends_after_an_hour_and_a_refresh_gives_another(simulator: Simulator, account: str) -> None:
    tokens = simulator.grant(account, [CONTACTS])
    simulator.advance(3_598)
    assert reads_contacts(simulator, tokens["access_token"]) == 200
    simulator.advance(2)
    status, reply = get(simulator, PEOPLE + "/people/me", tokens["access_token"], personFields="names")
    assert (status, reply["error"]["status"]) == (401, "UNAUTHENTICATED")
    status, fresh = refresh(simulator, tokens["refresh_token"])
    assert status == 200
    assert set(fresh) == {"access_token", "expires_in", "scope", "token_type"}
    assert reads_contacts(simulator, fresh["access_token"]) == 200


def test_a_missing_scope_is_a_403_that_names_itself(simulator: Simulator, account: str) -> None:
    token = simulator.grant(account, [GMAIL])["access_token"]
    status, reply = get(simulator, PEOPLE + "/people/me/connections", token, personFields="names")
    assert (status, reply["error"]["status"], reason(reply)) == (
        403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
    )  # fmt: skip


@pytest.mark.parametrize("sent", [None, "", "ya29.made-up"])
def test_no_api_serves_without_a_live_token(simulator: Simulator, sent: str | None) -> None:
    assert reads_contacts(simulator, sent or "") == 401
    assert get(simulator, PEOPLE + "/people/me", None, personFields="names", access_token="x")[0] in {400, 401}


def test_revoking_one_token_ends_all_of_the_account_over_all_clients(simulator: Simulator, account: str) -> None:
    first = simulator.grant(account, [CONTACTS])
    second_client = "simulator-client-2.apps.googleusercontent.com"
    code = returned(simulator.consent(authorize_url(simulator, client_id=second_client), account))["code"]
    _, second = exchange(simulator, code, client_id=second_client)
    neighbour = simulator.grant(simulator.facts["accounts"][1], [CONTACTS])
    assert post_form(simulator, REVOKE, {"token": second["access_token"]})[0] == 200
    assert refresh(simulator, first["refresh_token"])[1]["error"] == "invalid_grant"
    assert reads_contacts(simulator, first["access_token"]) == 401
    assert refresh(simulator, second["refresh_token"], client_id=second_client)[0] == 400
    assert post_form(simulator, REVOKE, {"token": first["refresh_token"]}) == (
        400, {"error": "invalid_token", "error_description": "Token expired or revoked"},
    )  # fmt: skip
    assert refresh(simulator, neighbour["refresh_token"])[0] == 200


def test_a_revocation_may_lag_for_access_tokens(simulator: Simulator, account: str) -> None:
    tokens = simulator.grant(account, [CONTACTS])
    simulator.control("oauth", {"revocation_delay_s": 120})
    post_form(simulator, REVOKE, {"token": tokens["refresh_token"]})
    assert reads_contacts(simulator, tokens["access_token"]) == 200
    simulator.advance(121)
    assert reads_contacts(simulator, tokens["access_token"]) == 401


def test_the_hundred_and_first_refresh_token_silently_ends_the_first(simulator: Simulator, account: str) -> None:
    tokens = [simulator.grant(account, [CONTACTS])["refresh_token"] for _ in range(101)]
    assert refresh(simulator, tokens[0])[1]["error"] == "invalid_grant"
    assert refresh(simulator, tokens[1])[0] == 200


def test_a_refresh_token_ends_after_six_idle_months_but_not_when_it_is_used(simulator: Simulator, account: str) -> None:
    idle, used = (simulator.grant(account, [CONTACTS])["refresh_token"] for _ in range(2))
    simulator.advance(100 * DAY_S)
    assert refresh(simulator, used)[0] == 200
    simulator.advance(100 * DAY_S)
    assert refresh(simulator, used)[0] == 200
    assert refresh(simulator, idle)[0] == 400


def test_testing_mode_ends_grants_after_seven_days_unless_they_are_only_identity(
    simulator: Simulator, account: str
) -> None:
    simulator.control("oauth", {"testing_mode": True})
    contacts, identity = (simulator.grant(account, [one])["refresh_token"] for one in (CONTACTS, "openid"))
    simulator.advance(8 * DAY_S)
    assert refresh(simulator, contacts)[0] == 400
    assert refresh(simulator, identity)[0] == 200


def test_a_time_limited_consent_says_when_it_ends(simulator: Simulator) -> None:
    asked = {"authorize_url": authorize_url(simulator), "lasts_s": 7_200}
    _, tokens = exchange(simulator, returned(simulator.control("consent", asked)["redirect_url"])["code"])
    assert tokens["refresh_token_expires_in"] == 7_200
    simulator.advance(7_201)
    assert refresh(simulator, tokens["refresh_token"])[0] == 400


def test_a_password_change_ends_only_grants_with_mail(simulator: Simulator, account: str) -> None:
    contacts, mail = (simulator.grant(account, [one])["refresh_token"] for one in (CONTACTS, GMAIL))
    simulator.control("oauth", {"change_password": account})
    assert refresh(simulator, mail)[0] == 400
    assert refresh(simulator, contacts)[0] == 200


def test_rotation_kills_the_old_token_at_once_or_after_its_grace(simulator: Simulator, account: str) -> None:
    simulator.control("oauth", {"rotation": "strict"})
    old = simulator.grant(account, [CONTACTS])["refresh_token"]
    _, reply = refresh(simulator, old)
    assert refresh(simulator, old)[1]["error"] == "invalid_grant"
    simulator.control("oauth", {"rotation": "grace"})
    _, newer = refresh(simulator, reply["refresh_token"])
    assert refresh(simulator, reply["refresh_token"])[0] == 200
    simulator.advance(61)
    assert refresh(simulator, reply["refresh_token"])[0] == 400
    assert refresh(simulator, newer["refresh_token"])[0] == 200


def test_the_switches_play_every_error_of_the_token_endpoint(simulator: Simulator, account: str) -> None:
    token = simulator.grant(account, [CONTACTS])["refresh_token"]
    assert refresh(simulator, token, client_secret="wrong") == (
        401, {"error": "invalid_client", "error_description": "The provided client secret is invalid."},
    )  # fmt: skip
    second = "simulator-client-2.apps.googleusercontent.com"
    assert refresh(simulator, token, client_id=second)[1]["error"] == "unauthorized_client"
    simulator.control("oauth", {"invalid_client": True})
    assert refresh(simulator, token)[0] == 401
    simulator.control("oauth", {"invalid_client": False, "deleted_client": True})
    assert refresh(simulator, token)[1]["error"] == "deleted_client"
    simulator.control("oauth", {"deleted_client": False, "admin_policy_enforced": [account]})
    assert refresh(simulator, token)[1]["error"] == "admin_policy_enforced"
    rapt = {"error": "invalid_grant", "error_subtype": "invalid_rapt"}
    simulator.control("oauth", {"admin_policy_enforced": [], "next_errors": [rapt, {"error": "x", "status": 503}]})
    assert refresh(simulator, token)[1]["error_subtype"] == "invalid_rapt"
    assert refresh(simulator, token)[0] == 503
    assert refresh(simulator, token)[0] == 200
    simulator.control("oauth", {"drop_account": account})
    assert refresh(simulator, token)[1]["error_description"] == "Account has been deleted"
    with pytest.raises(ControlRefused, match="no switch"):
        simulator.control("oauth", {"rotatoin": "strict"})


def test_the_official_library_refreshes_and_knows_a_dead_grant(simulator: Simulator, account: str) -> None:
    tokens = simulator.grant(account, [CONTACTS])
    credentials = Credentials(
        token=None,
        refresh_token=tokens["refresh_token"],
        token_uri="https://oauth2.googleapis.com/token",
        client_id=simulator.facts["client_id"],
        client_secret=simulator.facts["client_secret"],
    )
    network = google_auth_httplib2.Request(LoopbackHttp(simulator.url))
    credentials.refresh(network)
    assert credentials.valid
    assert reads_contacts(simulator, credentials.token) == 200
    simulator.control("oauth", {"revoke_account": account})
    with pytest.raises(RefreshError, match="invalid_grant"):
        credentials.refresh(network)


def test_basic_authentication_of_the_client_works_too(simulator: Simulator, account: str) -> None:
    token = simulator.grant(account, [CONTACTS])["refresh_token"]
    pair = f"{simulator.facts['client_id']}:{simulator.facts['client_secret']}"
    form = {"grant_type": "refresh_token", "refresh_token": token}
    basic = "Basic " + base64.b64encode(pair.encode()).decode()
    assert post_form(simulator, TOKEN, form, authorization=basic)[0] == 200


def test_an_id_token_is_signed_with_the_published_key_and_says_who(simulator: Simulator, account: str) -> None:
    tokens = simulator.grant(account, ["openid", "email", "profile"], nonce="n-1")
    head, claims, signature = tokens["id_token"].split(".")
    status, keys = get(simulator, "/www.googleapis.com/oauth2/v3/certs")
    assert status == 200
    key = next(one for one in keys["keys"] if one["kid"] == json.loads(_raw(head))["kid"])
    numbers = rsa.RSAPublicNumbers(int.from_bytes(_raw(key["e"])), int.from_bytes(_raw(key["n"])))
    numbers.public_key().verify(_raw(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    said = json.loads(_raw(claims))
    assert (said["iss"], said["aud"]) == ("https://accounts.google.com", simulator.facts["client_id"])
    assert (said["email"], said["nonce"], said["exp"] - said["iat"]) == (account, "n-1", 3600)
    assert said["sub"] == simulator.accounts()[0]["sub"]
    assert AUTH + "userinfo.email" in tokens["scope"]


def test_userinfo_tokeninfo_and_the_configuration_agree(simulator: Simulator, account: str) -> None:
    token = simulator.grant(account, ["openid", "email"])["access_token"]
    _, info = get(simulator, "/openidconnect.googleapis.com/v1/userinfo", token)
    assert info["email"] == account
    _, about = get(simulator, "/oauth2.googleapis.com/tokeninfo", access_token=token)
    assert (about["sub"], about["aud"]) == (info["sub"], simulator.facts["client_id"])
    _, document = get(simulator, "/accounts.google.com/.well-known/openid-configuration")
    assert document["token_endpoint"] == "https://oauth2.googleapis.com/token"
    assert get(simulator, "/openidconnect.googleapis.com/v1/userinfo", "made-up")[0] == 401


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
