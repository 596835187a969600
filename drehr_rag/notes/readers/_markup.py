"""HTML and C-CDA narrative to plain text, by the standard library; entities in XML are refused."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

CDA = "urn:hl7-org:v3"

_BLOCKS = frozenset(
    "p div br hr h1 h2 h3 h4 h5 h6 ul ol li table thead tbody tfoot tr caption section article "
    "header footer pre blockquote dl dt dd title paragraph list item".split()
)
_CELLS = frozenset({"td", "th"})
_HIDDEN = frozenset({"script", "style", "head"})
_XML_DECLARED = re.compile(r"^\s*<\?xml[^>]*\?>", re.DOTALL)


class MarkupError(ValueError):
    """The document cannot be read as what it says it is; the message holds none of its text."""


def html_text(markup: str) -> str:
    """The text of an HTML document or fragment, blocks on lines of their own."""
    reader = _HtmlReader()
    reader.feed(markup)
    reader.close()
    return tidy("".join(reader.pieces))


def tidy(text: str) -> str:
    """Squeeze spaces inside lines and blank lines between them."""
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip(" |") for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


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
    """The narrative of a C-CDA document: each section's title as a heading, then its text."""
    pieces: list[str] = []
    for section in root.iter(f"{{{CDA}}}section"):
        narrative = section.find(f"{{{CDA}}}text")
        if section.get("nullFlavor") is None and narrative is not None:
            body = tidy("".join(_narrative(narrative)))
            title = " ".join("".join(_all_text(section.find(f"{{{CDA}}}title"))).split())
            if body:
                pieces.append(f"{title.rstrip(':').upper()}:\n{body}" if title else body)
    return "\n\n".join(pieces)


def _all_text(element: ElementTree.Element | None) -> Iterator[str]:
    if element is not None:
        yield from element.itertext()


def _narrative(element: ElementTree.Element) -> Iterator[str]:
    name = element.tag.rsplit("}", 1)[-1].lower() if isinstance(element.tag, str) else ""
    yield {"item": "\n- ", "li": "\n- "}.get(name, "\n" if name in _BLOCKS else "")
    if isinstance(element.tag, str):
        yield element.text or ""
        for child in element:
            yield from _narrative(child)
            yield child.tail or ""
    yield " | " if name in _CELLS else "\n" if name in _BLOCKS else ""


class _HtmlReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _BLOCKS:
            self.pieces.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _CELLS:
            self.pieces.append(" | ")
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data.replace("\n", " "))
