"""The words of a query: text in, words, numbers, texts and signs out, each mistake by its code.

Source: https://developers.google.com/google-ads/api/docs/query/grammar, read 2026-11-23.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n\f]+)"
    r"|(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_.-]))"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)|(?P<sign><=|>=|!=|[=<>(),])",
)
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t", "r": "\r"}


class QueryRefused(Exception):
    """The query cannot be carried out; `code` is a value of the error enumeration `category`."""

    def __init__(self, code: str, message: str, category: str = "queryError") -> None:
        super().__init__(message)
        self.code = code
        self.category = category


@dataclass(frozen=True, slots=True)
class Token:
    """One of them; `kind` is word, number, text, sign or end."""

    kind: str
    text: str

    @property
    def keyword(self) -> str:
        """A word in capitals, empty for what is no word."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def shown(self) -> str:
        """How a message names it."""
        return self.text or "the end of the query"


END = Token("end", "")


def tokens_of(text: str) -> list[Token]:
    """Return the words of a query.

    Raises: QueryRefused.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            _refuse_symbol(text, at)
        kind = str(match.lastgroup)
        if kind == "text":
            tokens.append(Token(kind, _unescaped(match.group()[1:-1])))
        elif kind != "space":
            tokens.append(Token(kind, match.group()))
        at = match.end()
    return tokens


def _refuse_symbol(text: str, at: int) -> NoReturn:
    found = text[at]
    if found in "'\"":
        newline = "\n" in text[at:] and found in text[text.index("\n", at) :]
        code = "PROHIBITED_NEWLINE_IN_STRING" if newline else "STRING_NOT_TERMINATED"
        raise QueryRefused(code, "A string is not terminated on its line.")
    if not found.isascii():
        raise QueryRefused("BAD_SYMBOL", f"Error in query: unexpected symbol {found}.")
    if found.isdigit() or found == "-":
        raise QueryRefused("BAD_NUMBER", f"Error in query: bad number near {text[at : at + 12]}.")
    raise QueryRefused("UNEXPECTED_INPUT", f"Error in query: unexpected input {found}.")


def _unescaped(text: str) -> str:
    parts = re.split(r"\\(.)", text, flags=re.DOTALL)
    for at in range(1, len(parts), 2):
        if parts[at] not in _ESCAPES:
            raise QueryRefused("BAD_ESCAPE_SEQUENCE", f"Error in query: bad escape \\{parts[at]}.")
        parts[at] = _ESCAPES[parts[at]]
    return "".join(parts)
