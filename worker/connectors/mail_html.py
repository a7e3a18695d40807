"""HTML of mails made safe to show, in time that is proportional to its length.

    HTML ─▶ pieces by one regular expression ─▶ known tags only, well nested, at most MOST_DEPTH deep ─▶ nh3 ─▶ safe

What is safe is nh3's to say, which parses as a browser does. By itself it takes time with the square of how deep tags
are nested and how many attributes one tag has: 8,000 open tags cost 0.3 s, and one mail of 1 MB minutes (nh3 0.3,
measured 2026-11). The pass before it judges nothing. It writes only what it has understood, so that a comment or a
quote that the two read differently cannot bring the depth back.
"""

import re
from typing import Final

import nh3

MOST_DEPTH: Final = 128

# Each alternative stops at the next `<` or takes all up to its end, so that no character is looked at twice for long.
_PIECE: Final = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<[!?][^>]*+(?:>|\Z)"
    r"|<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*+)(?P<rest>(?:\"[^\"<]*+\"|'[^'<]*+'|[^\"'<>])*+)>"
    r"|<(?P<end2>/?)(?P<name2>[a-zA-Z][a-zA-Z0-9]*+)(?P<rest2>[^<>]*+)>?"
    r"|(?P<text>[^<]++)"
    r"|<",
    re.DOTALL,
)
_WRITTEN: Final = re.compile(
    r"(?<![\w-])([a-zA-Z][\w-]*+)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++))", re.ASCII
)
_DROPPED: Final = frozenset({"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"})
"""Tags that go together with what is in them."""
_VOID: Final = frozenset({"area", "br", "col", "hr", "img", "wbr"})
_CELLS: Final = frozenset({"td", "th"})
_ROWS: Final = _CELLS | {"tr"}
_GROUPS: Final = _ROWS | {"thead", "tbody", "caption", "colgroup"}
_PARAGRAPH: Final = frozenset({"p"})
# What a tag ends by beginning, as browsers have it.
_ENDS: Final = {
    "li": frozenset({"li", "p"}), "dt": frozenset({"dt", "dd", "p"}), "dd": frozenset({"dt", "dd", "p"}),
    "td": _CELLS, "th": _CELLS, "tr": _ROWS, "thead": _GROUPS, "tbody": _GROUPS, "caption": _GROUPS,
    "colgroup": _GROUPS, "a": frozenset({"a"}),
    **dict.fromkeys(
        ("article", "aside", "blockquote", "center", "details", "div", "dl", "figcaption", "figure", "footer", "h1",
         "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "nav", "ol", "p", "pre", "summary", "table", "ul"),
        _PARAGRAPH,
    ),
}  # fmt: skip
_LISTS: Final = frozenset({"ul", "ol", "dl"})

# The sanitiser's own lists, less addresses that nobody sees.
_TAGS: Final = frozenset(nh3.ALLOWED_TAGS)
_ATTRIBUTES: Final = {tag: set(names) - {"cite"} for tag, names in nh3.ALLOWED_ATTRIBUTES.items()}
_SCHEMES: Final = {"http", "https", "mailto", "tel", "cid"}


def safe_html(html: str) -> tuple[str, bool]:
    """HTML without script, style, form or remote picture, and whether it was nested too deeply to be kept as it was.

    A remote picture tells its sender when and where a mail is opened; pictures within the mail (`cid:`) stay.
    """
    nest = _Nest()
    _rewrite(html, nest)
    cleaned: str = nh3.clean(
        nest.written(), attributes=_ATTRIBUTES, attribute_filter=_kept, url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
    )  # fmt: skip
    return cleaned, nest.cut


def _kept(tag: str, attribute: str, value: str) -> str | None:
    if tag == "img" and attribute == "src" and not value.strip().lower().startswith("cid:"):
        return None
    return value


class _Nest:
    """Writes tags well nested: whatever is opened is closed, in the right order, by a tag of its own."""

    def __init__(self) -> None:
        self.cut = False
        self._out: list[str] = []
        self._open: list[str] = []

    def text(self, text: str) -> None:
        self._out.append(text)

    def begin(self, name: str, attributes: str) -> None:
        ended = _ENDS.get(name)
        if ended is not None:
            self._close(ended, _barrier(name))
        if name in _VOID:
            self._out.append(f"<{name}{attributes}>")
        elif len(self._open) >= MOST_DEPTH:
            self.cut = True
        else:
            self._open.append(name)
            self._out.append(f"<{name}{attributes}>")

    def end(self, name: str) -> None:
        if name == "br":
            self._out.append("<br>")
        self._close(frozenset({name}), _barrier(name))

    def written(self) -> str:
        while self._open:
            self._out.append(f"</{self._open.pop()}>")
        return "".join(self._out)

    def _close(self, names: frozenset[str], barrier: frozenset[str]) -> None:
        """Close the outermost of `names` that stands within the nearest barrier, and all that is in it."""
        depth = len(self._open)
        found = None
        while depth:
            depth -= 1
            if self._open[depth] in names:
                found = depth
            if self._open[depth] in barrier:
                break
        if found is not None:
            for name in reversed(self._open[found:]):
                self._out.append(f"</{name}>")
            del self._open[found:]


def _barrier(name: str) -> frozenset[str]:
    """What a tag cannot reach out of; a tag that ends itself may reach one of its own kind only."""
    if name in _GROUPS or name == "table":
        return frozenset({"table"})
    barrier = _CELLS | {"table"}
    if name in _ENDS and name not in {"a", "li", "dt", "dd"}:
        return barrier | {name} if name != "p" else barrier
    return barrier | (_LISTS if name in {"li", "dt", "dd"} else frozenset({name}))


def _rewrite(html: str, nest: _Nest) -> None:
    place = 0
    while place < len(html):
        match = _PIECE.match(html, place)
        if match is None:  # Not reached: the last alternatives take any character.
            return
        place = match.end()
        name = (match["name"] or match["name2"] or "").lower()
        if match["text"] is not None:
            nest.text(match["text"])
        elif name in _DROPPED and not (match["end"] or match["end2"]):
            place = _behind(html, name, place)
        elif name in _TAGS:
            if match["end"] or match["end2"]:
                nest.end(name)
            else:
                nest.begin(name, _attributes(name, match["rest"] or match["rest2"] or ""))
        elif match[0] == "<":
            nest.text("&lt;")


def _behind(html: str, name: str, place: int) -> int:
    """Where what is dropped ends: at its closing tag, or with the mail."""
    match = re.compile(rf"</{name}[^>]*+(?:>|\Z)", re.IGNORECASE).search(html, place)
    return match.end() if match else len(html)


def _attributes(tag: str, text: str) -> str:
    allowed = _ATTRIBUTES.get(tag)
    if not allowed or "=" not in text:
        return ""
    found: dict[str, str] = {}
    for match in _WRITTEN.finditer(text):
        name = match[1].lower()
        if name in allowed:
            value = next((part for part in match.groups()[1:] if part is not None), "")
            found.setdefault(name, value.replace('"', "&quot;"))
    return "".join(f' {name}="{value}"' for name, value in found.items())
