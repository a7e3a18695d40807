"""The permissions that the simulated application may ask for, and which of them each resource of Graph accepts.

Short names and the long form with Graph's address mean the same; replies use the short ones.
Source: the provider sheet, section 1.2.
"""

GRAPH = "https://graph.microsoft.com/"
DEFAULT = GRAPH + ".default"

IDENTITY = frozenset({"openid", "profile", "email", "offline_access"})
PROFILE = frozenset({"User.Read", "User.ReadWrite"})
MAIL_BODIES = frozenset({"Mail.Read", "Mail.ReadWrite"})
MAIL = MAIL_BODIES | {"Mail.ReadBasic"}
CONTACTS = frozenset({"Contacts.Read", "Contacts.ReadWrite"})
CALENDARS = frozenset({"Calendars.Read", "Calendars.ReadWrite", "Calendars.ReadBasic"})

# What an organisation's administrator has to agree to where the policy of autumn 2025 holds; the exact list is not
# confirmed, so that it is also a switch.
NEEDS_ADMIN = MAIL | CONTACTS | CALENDARS

KNOWN = IDENTITY | PROFILE | MAIL | CONTACTS | CALENDARS | {"Mail.Send", "MailboxSettings.Read", "People.Read"}


def normalised(text: str) -> list[str]:
    """Return the scopes of a request by their short names, each once, in the order given."""
    return list(dict.fromkeys(one if one == DEFAULT else one.removeprefix(GRAPH) for one in text.split()))


def in_order(scopes: set[str] | frozenset[str]) -> str:
    """Return scopes as a token reply words them: permissions first, and never offline_access."""
    permissions = sorted(scopes - IDENTITY)
    return " ".join([*permissions, *(one for one in ("openid", "profile", "email") if one in scopes)])
