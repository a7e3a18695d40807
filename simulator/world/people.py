"""People made up from a seed: what a contact says, by its number.

The first numbers of every address book are hard cases, each named in `HARD_CASES`; the rest are ordinary people in
three languages. Facts only; how a provider words them is written with the provider.
"""

from collections.abc import Callable

import msgspec

from simulator.world import words
from simulator.world.dice import Dice


class Phone(msgspec.Struct, frozen=True, gc=False):
    """A number as it was typed; `canonical` is None where a provider cannot tell the country."""

    value: str
    canonical: str | None = None
    kind: str = "mobile"


class Email(msgspec.Struct, frozen=True, gc=False):
    """An address and its label."""

    value: str
    kind: str = "work"


class Birthday(msgspec.Struct, frozen=True, gc=False):
    """A birthday; 0 means that the part is not known, `text` is what a person typed."""

    year: int = 0
    month: int = 0
    day: int = 0
    text: str | None = None


class PersonFacts(msgspec.Struct, frozen=True, gc=False):
    """What an address book says about one person."""

    given_name: str = ""
    family_name: str = ""
    emails: tuple[Email, ...] = ()
    phones: tuple[Phone, ...] = ()
    company: str = ""
    title: str = ""
    department: str = ""
    street: str = ""
    city: str = ""
    country_code: str = ""
    birthday: Birthday | None = None
    nickname: str = ""
    website: str = ""
    note: str = ""
    photo: str = "default"
    groups: tuple[str, ...] = ("myContacts",)
    custom: tuple[tuple[str, str], ...] = ()

    @property
    def display_name(self) -> str:
        """The name as it is shown; empty for a contact without one."""
        return f"{self.given_name} {self.family_name}".strip()


_LANGUAGES = (
    (words.GIVEN_EN, words.FAMILY_EN), (words.GIVEN_EN, words.FAMILY_EN),
    (words.GIVEN_TH, words.FAMILY_TH), (words.GIVEN_AR, words.FAMILY_AR),
)  # fmt: skip
_THAI_DIGITS = str.maketrans("0123456789", "๐๑๒๓๔๕๖๗๘๙")
_GROUP_OF_FIVE = (
    ("myContacts",),
    ("myContacts", "starred"),
    ("myContacts", "customers"),
    (),
    ("myContacts", "suppliers"),
)


def ordinary_person(seed: int, book: int, number: int) -> PersonFacts:
    """Make up the person with this number."""
    dice = Dice(seed, 11, book, number)
    given_names, family_names = dice.pick(_LANGUAGES)
    given, given_latin = dice.pick(given_names)
    family, family_latin = dice.pick(family_names)
    company, domain = dice.pick(words.COMPANIES)
    city, country = dice.pick(words.CITIES)
    local = f"{given_latin}.{family_latin}{number}"
    emails: tuple[Email, ...] = (Email(f"{local}@{domain}.example"),)
    if number % 4 == 0:
        emails += (Email(f"{given_latin}{number}@post.example", "home"),)
    digits = dice.digits(7)
    phones = (Phone(f"+66 2{digits[:3]} {digits[3:]}", f"+662{digits}"),) if number % 3 else ()
    year = dice.below(80)
    return PersonFacts(
        given_name=given,
        family_name=family,
        emails=emails,
        phones=phones,
        company=company if number % 5 else "",
        title=dice.pick(words.TITLES) if number % 5 else "",
        street=f"{dice.below(300) + 1} {dice.pick(words.STREETS)}" if number % 2 else "",
        city=city if number % 2 else "",
        country_code=country if number % 2 else "",
        birthday=Birthday(1930 + year, dice.below(12) + 1, dice.below(28) + 1) if number % 6 == 0 else None,
        note=f"Met at fair {dice.below(40)}" if number % 7 == 0 else "",
        photo="own" if number % 9 == 0 else "default",
        groups=_GROUP_OF_FIVE[number % 5],
    )


def person(seed: int, book: int, number: int) -> PersonFacts:
    """Return the person with this number, who may be a hard case."""
    facts = ordinary_person(seed, book, number)
    return HARD_CASES[number][1](facts) if number < len(HARD_CASES) else facts


def _with(**changes: object) -> Callable[[PersonFacts], PersonFacts]:
    return lambda facts: msgspec.structs.replace(facts, **changes)


HARD_CASES: tuple[tuple[str, Callable[[PersonFacts], PersonFacts]], ...] = (
    ("thai", _with(given_name="สมหญิง", family_name="รุ่งเรือง", emails=(Email("somying@dokbua.example"),))),
    ("arabic", _with(given_name="ليلى", family_name="النجار", emails=(Email("layla@baytalwaraq.example"),))),
    ("without a name", _with(given_name="", family_name="", nickname="", company="")),
    ("120 e-mails", _with(emails=tuple(Email(f"alias{n}@many.example", "other") for n in range(120)))),
    ("same name, first", _with(given_name="Maren", family_name="Birch", emails=(Email("maren.a@tinroof.example"),))),
    ("same name, second", _with(given_name="Maren", family_name="Birch", emails=(Email("maren.b@tinroof.example"),))),
    ("birthday without year", _with(birthday=Birthday(0, 2, 29))),
    ("very long fields", _with(note="ก" * 20_000, family_name="Longstocking-" * 40, title="x" * 2_000)),
    ("emoji", _with(given_name="👩🏽‍🚀 Zoë", family_name="🇹🇭", nickname="🙂" * 30)),
    ("nul in the note", _with(note="before\x00after", title="tab\tand\x1funit separator")),
    ("default photo", _with(photo="default")),
    ("local phone", _with(phones=(Phone("02 123 4567"), Phone("081-234-5678", None, "work")))),
    ("thai digits", _with(phones=(Phone("+66 81 234 5678".translate(_THAI_DIGITS), "+66812345678"),))),
    ("nothing at all", lambda _facts: PersonFacts(groups=())),
    ("bidirectional override", _with(given_name="Ana\u202egnp.exe", family_name="\u2066Quill\u2069")),
    ("odd e-mails", _with(emails=(Email("  Mixed.Case@QUIETHARBOUR.Example "), Email("no at sign"),
                                  Email("ü@bücher.example"), Email("x@xn--bcher-kva.example"), Email("")))),
    ("same e-mail twice", _with(emails=(Email("twice@tinroof.example"), Email("TWICE@tinroof.example", "home")))),
    ("birthday as text", _with(birthday=Birthday(text="sometime in spring"))),
    ("birthday without day", _with(birthday=Birthday(1980, 4, 0))),
    ("markup in the note", _with(note="<script>alert('x')</script><b>bold</b> & '\"; DROP TABLE contact; --")),
    ("combining marks", _with(given_name="e\u0301" * 8, family_name="ที่\u200bน้ำ")),
    ("90 phones", _with(phones=tuple(Phone(f"+1 415 555 {n:04}", f"+1415555{n:04}", "other") for n in range(90)))),
    ("extension", _with(phones=(Phone("+1 (415) 555-0100 ext. 7", "+14155550100", "work"),
                                Phone("*100#", None, "other")))),
    ("custom fields", _with(custom=(("Customer no.", "A-17"), ("Customer no.", "A-18"), ("", "no key")))),
)  # fmt: skip
