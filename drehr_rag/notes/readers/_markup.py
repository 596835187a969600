"""HTML and C-CDA narrative to plain text, by the standard library; entities in XML are refused."""

import re
from html import escape
from html.parser import HTMLParser
from xml.etree import ElementTree

CDA = "urn:hl7-org:v3"

_LINES = frozenset(
    "br hr div dl dt dd tr caption header footer address section article thead tbody tfoot".split()
)
_APART = frozenset("p paragraph pre blockquote table ul ol list h1 h2 h3 h4 h5 h6".split())
_ITEMS = frozenset({"li", "item"})
_CELLS = frozenset({"td", "th"})
_HIDDEN = frozenset({"script", "style", "title"})
_XML_DECLARED = re.compile(r"\A\s*<\?xml[^>]*\?>")
_SPACE = re.compile(r"[ \t\r\n\f\v\xa0]+")


class MarkupError(ValueError):
    """The document cannot be read as what it says it is; the message holds none of its text."""


def html_text(markup: str) -> str:
    """The text of an HTML document or fragment, blocks on lines of their own.

    Raises:
        MarkupError: Python's parser gives it up.
    """
    reader = _HtmlReader()
    try:
        reader.feed(_without_cdata(markup))
        reader.close()
    except AssertionError:  # html.parser's word for a malformed "<![…" (until Python 3.13)
        raise MarkupError("broken HTML") from None
    return reader.page.text()


def parse_xml(markup: str) -> ElementTree.Element:
    """The root element.

    Raises:
        MarkupError: It is not well-formed, or it declares entities (a way to exhaust memory).
    """
    if "<!DOCTYPE" in markup or "<!ENTITY" in markup:
        raise MarkupError("XML with a document type or entities, which is refused")
    try:
        return ElementTree.fromstring(_XML_DECLARED.sub("", markup.lstrip("\ufeff")))
    except (ElementTree.ParseError, RecursionError, ValueError):
        raise MarkupError("broken XML") from None


def cda_text(root: ElementTree.Element) -> str:
    """The narrative of a C-CDA document: each section's title as a heading, then its text.

    Sections that say they hold nothing (`nullFlavor`), or hold no text, are passed over.
    """
    pieces: list[str] = []
    for section in root.iter(f"{{{CDA}}}section"):
        narrative = section.find(f"{{{CDA}}}text")
        if section.get("nullFlavor") is None and narrative is not None:
            page = _Page()
            _narrative(narrative, page)
            title = _title(section).rstrip(":").upper()
            if body := page.text():
                pieces.append(f"{title}:\n{body}" if title else body)
    return "\n\n".join(pieces)


def _title(section: ElementTree.Element) -> str:
    title, code = section.find(f"{{{CDA}}}title"), section.find(f"{{{CDA}}}code")
    words = "" if title is None else " ".join("".join(title.itertext()).split())
    return words or ("" if code is None else code.get("displayName", "").strip())


def _narrative(element: ElementTree.Element, page: "_Page") -> None:
    name = element.tag.rsplit("}", 1)[-1].lower()
    page.start(name)
    page.lines(element.text or "")
    for child in element:
        _narrative(child, page)
        page.lines(child.tail or "")
    page.end(name)


class _Page:
    """Plain text as it grows.

    Line breaks, list marks and cell marks wait until there are words to set after them, so that
    a paragraph in a cell does not break the row and empty rows leave nothing behind.
    """

    def __init__(self) -> None:
        self._out: list[str] = []
        self._breaks = 0
        self._mark = ""
        self._fresh = True  # at the start of an item or cell, where a block breaks no line
        self._columns = [0]  # cells so far in the row, for each open table
        self._depth = 0  # open lists and tables

    def start(self, tag: str) -> None:
        if tag in _APART:
            self._break(1 if self._depth else 2)
        elif tag in _LINES:
            self._break(1)
        if tag in _ITEMS:
            self._item()
        elif tag in _CELLS:
            self._cell()
        elif tag == "tr":
            self._columns[-1] = 0
            self._begin("")
        elif tag == "table":
            self._columns.append(0)
        self._depth += tag in {"ul", "ol", "list", "table"}

    def end(self, tag: str) -> None:
        if tag == "table" and len(self._columns) > 1:
            self._columns.pop()
        if tag in {"ul", "ol", "list", "table"}:
            self._depth = max(0, self._depth - 1)
        if tag in {"tr", "table"}:  # empty cells at the end
            self._mark, self._fresh = "", False
        elif tag in {"ul", "ol", "list"} and self._mark:  # an empty item at the end
            self._mark, self._fresh = self._mark.rstrip(" -"), "|" in self._mark
            self._mark += " " if self._mark else ""
        if tag in _ITEMS or tag in _APART or (tag in _LINES and tag != "br"):
            self._break(1)

    def words(self, text: str) -> None:
        """Running text: white space of any kind is one space."""
        flat = _SPACE.sub(" ", text)
        if flat.strip():
            self._out.append("\n" * self._breaks + self._mark if self._out else self._mark)
            self._out.append(flat.lstrip() if self._breaks or self._mark else flat)
            self._breaks, self._mark, self._fresh = 0, "", False
        elif flat and not (self._breaks or self._mark):
            self._out.append(" ")

    def lines(self, text: str) -> None:
        """Text whose inner line breaks are the author's, except in a table's cell."""
        if self._columns[-1] or not (kept := text.strip()):
            return self.words(text)
        start = text.index(kept)
        self.words(text[:start])
        for line in kept.splitlines():
            self.words(line)
            self._breaks = max(self._breaks, 1)
        self._breaks = 0
        self.words(text[start + len(kept) :])

    def preformatted(self, text: str) -> None:
        """Text in `<pre>`: every line break counts."""
        for number, line in enumerate(text.split("\n")):
            if number:
                self._breaks = min(2, self._breaks + 1)
            self.words(line)

    def text(self) -> str:
        lines = (_SPACE.sub(" ", line).strip() for line in "".join(self._out).split("\n"))
        return "\n".join(lines).strip()

    def _break(self, breaks: int) -> None:
        if not self._fresh:
            self._breaks = max(self._breaks, breaks)

    def _begin(self, mark: str) -> None:
        self._breaks, self._mark, self._fresh = max(self._breaks, 1), mark, True

    def _item(self) -> None:
        if "|" in self._mark:  # the first words of a cell stay in its row
            self._mark = self._mark.rstrip(" -") + " - "
        else:
            self._begin("- ")

    def _cell(self) -> None:
        if self._columns[-1]:
            if not self._mark and not self._fresh:
                self._breaks = 0
            self._mark += " | "
        self._columns[-1] += 1
        self._fresh = True


class _HtmlReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = _Page()
        self._hidden: str | None = None
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden = tag
        elif tag == "body":
            self._hidden = None
        self._pre += tag == "pre"
        self.page.start(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = None
        self._pre = max(0, self._pre - (tag == "pre"))
        self.page.end(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden is None:
            (self.page.preformatted if self._pre else self.page.words)(data)


def _without_cdata(markup: str) -> str:
    """XHTML's `<![CDATA[…]]>`, which an HTML parser drops, as escaped text."""
    first, *rest = markup.split("<![CDATA[")
    parts = (piece.partition("]]>") for piece in rest)
    return first + "".join(escape(inside) + after for inside, _, after in parts)
