"""FHIR R4: Bundles, single resources, NDJSON bulk exports; and bare C-CDA documents.

Notes are the DocumentReference and DiagnosticReport resources. Their attachments are the same
document in several formats, so the best one is read: plain text, then HTML, then C-CDA. A report
without an attachment is its conclusion, or its narrative.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from drehr_rag.notes.readers._fields import Fields
from drehr_rag.notes.readers._markup import CDA, MarkupError, cda_text, html_text, parse_xml
from drehr_rag.notes.readers._open import byte_lines, open_bytes
from drehr_rag.types import Note, Reject

NOTES = ("DocumentReference", "DiagnosticReport")

LINK = (
    "the attachment is only a link: export the Binary resources too, or put the data into the "
    "resource"
)


class _Unusable(ValueError):
    """Why a resource is no note; never its text."""


def recognise(path: Path, head: str) -> bool:
    """A FHIR resource in JSON, or a C-CDA document."""
    return '"resourceType"' in head or ("<ClinicalDocument" in head and CDA in head)


def read(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    """Each DocumentReference and DiagnosticReport, or the one document.

    NDJSON is read line by line; a Bundle is one JSON value and is held in memory as a whole.
    """
    lines = byte_lines(path)
    _, first = next(lines, (0, b""))
    if first.lstrip().startswith(b"<") or b"ClinicalDocument" in first:
        yield _from_cda(path, fields)
    elif _is_resource(first):
        yield from _from_lines(path, fields)
    else:
        yield from _from_whole(path, fields)


def _is_resource(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _from_lines(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    for number, line in byte_lines(path):
        if line.strip():
            yield from _from_json(line, str(path), number, fields)


def _from_whole(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    with open_bytes(path) as file:
        yield from _from_json(file.read(), str(path), None, fields)


def _from_json(
    content: bytes, file: str, line: int | None, fields: Fields
) -> Iterator[Note | Reject]:
    try:
        resource = json.loads(content)
    except UnicodeDecodeError:
        yield Reject(file, line, "bytes that are not UTF-8")
        return
    except (ValueError, RecursionError):
        yield Reject(file, line, "broken JSON")
        return
    bundle = _Bundle(resource)
    for one in bundle.resources:
        if _mapping(one).get("resourceType") in NOTES:
            yield _note(one, bundle, file, line, fields)


class _Bundle:
    """The resources of a Bundle, found by reference; a single resource is a Bundle of one."""

    def __init__(self, resource: object) -> None:
        entries = _list(_mapping(resource).get("entry"))
        self.resources: list[Any] = [_mapping(entry).get("resource") for entry in entries]
        self._known: dict[str, Any] = {}
        if _mapping(resource).get("resourceType") != "Bundle":
            self.resources = [resource]
        for entry, one in zip(entries, self.resources, strict=False):
            full = _mapping(entry).get("fullUrl")
            if isinstance(full, str):
                self._known[full] = one
            kind, own = _mapping(one).get("resourceType"), _mapping(one).get("id")
            if isinstance(kind, str) and isinstance(own, str):
                self._known[f"{kind}/{own}"] = one

    def resolve(self, reference: object, owner: object) -> Mapping[str, Any]:
        """The resource behind a reference; empty if it is not here."""
        target = _mapping(reference).get("reference", reference)
        if not isinstance(target, str):
            return {}
        if target.startswith("#"):
            inside = _list(_mapping(owner).get("contained"))
            return next((_mapping(c) for c in inside if _mapping(c).get("id") == target[1:]), {})
        known = self._known.get(target) or self._known.get(_tail(target))
        return _mapping(known)

    def id_of(self, reference: object, owner: object) -> str | None:
        """The id behind a reference: "Patient/7", an absolute URL, `urn:uuid:…`, "#p1"."""
        target = _mapping(reference).get("reference")
        if not isinstance(target, str):
            return _identifier(_mapping(reference).get("identifier"))
        found = self.resolve(reference, owner).get("id")
        if isinstance(found, str):
            return found
        return _tail(target).rsplit("/", 1)[-1].removeprefix("#").removeprefix("urn:uuid:") or None


def _tail(reference: str) -> str:
    """The last two parts: `https://host/fhir/Patient/7/_history/2` becomes `Patient/7`."""
    found = re.search(r"([A-Z]\w+/[\w.-]+)(?:/_history/\w+)?$", reference)
    return found[1] if found else reference


def _note(
    resource: Mapping[str, Any], bundle: _Bundle, file: str, line: int | None, fields: Fields
) -> Note | Reject:
    note_id = resource.get("id")
    known = note_id if isinstance(note_id, str) else None
    try:
        values = _values(resource, bundle)
    except (_Unusable, MarkupError) as problem:
        return Reject(file, line, str(problem), known)
    except RecursionError:
        return Reject(file, line, "nested too deeply", known)
    return fields.validated({**values, **fields.constants}, file=file, line=line)


def _values(resource: Mapping[str, Any], bundle: _Bundle) -> dict[str, Any]:
    """The fields of a note that the resource holds."""
    if resource.get("status") == "entered-in-error":
        raise _Unusable("its status is entered-in-error")
    context = _mapping(resource.get("context"))
    stay = _first(context.get("encounter")) or resource.get("encounter")
    period = _mapping(bundle.resolve(stay, resource).get("period"))
    values = {
        "note_id": resource.get("id"),
        "patient_id": bundle.id_of(resource.get("subject"), resource),
        "encounter_id": bundle.id_of(stay, resource),
        "encounter_start": _time(period.get("start")),
        "encounter_end": _time(period.get("end")),
        "note_type": _label(resource.get("type")) or _label(resource.get("code")),
        "written_at": _written(resource, context),
        "text": _text(resource, bundle),
    }
    return {name: value for name, value in values.items() if value is not None}


def _written(resource: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    times = (
        resource.get("date"),
        resource.get("effectiveDateTime"),
        _mapping(resource.get("effectivePeriod")).get("start"),
        resource.get("issued"),
        _mapping(context.get("period")).get("start"),
    )
    return next((time for time in map(_time, times) if time), None)


def _text(resource: Mapping[str, Any], bundle: _Bundle) -> str:
    """The document's text, from its best attachment.

    Raises:
        _Unusable: There is none that can be read.
    """
    contents = [_mapping(item).get("attachment") for item in _list(resource.get("content"))]
    attachments = [_mapping(a) for a in contents + _list(resource.get("presentedForm"))]
    order = list(_TEXT_OF)
    kinds = [_content_type(a)[0] for a in attachments]
    readable = [(order.index(k), i) for i, k in enumerate(kinds) if k in order]
    if readable:
        return _attached(attachments[min(readable)[1]], bundle, resource)
    conclusion = resource.get("conclusion")
    if isinstance(conclusion, str) and conclusion.strip():
        return conclusion
    narrative = _mapping(resource.get("text")).get("div")
    if isinstance(narrative, str) and not attachments and (text := html_text(narrative)):
        return text
    if attachments:
        raise _Unusable(f"its attachments are {', '.join(sorted(set(kinds)))}: none can be read")
    raise _Unusable("it holds no attachment, no conclusion and no narrative")


def _attached(attachment: Mapping[str, Any], bundle: _Bundle, owner: object) -> str:
    kind, charset = _content_type(attachment)
    data = attachment.get("data")
    if data is None and attachment.get("url"):
        data = bundle.resolve(attachment.get("url"), owner).get("data")
        if data is None:
            raise _Unusable(LINK)
    if not isinstance(data, str):
        raise _Unusable("its attachment holds no data")
    try:
        raw = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _Unusable("bad base64 in its attachment") from None
    try:
        markup = raw.decode(charset)
    except (UnicodeDecodeError, LookupError):
        raise _Unusable(f"bytes in its attachment that are not {charset}") from None
    return _TEXT_OF[kind](markup)


def _content_type(attachment: Mapping[str, Any]) -> tuple[str, str]:
    """("text/plain", "iso-8859-1") of "text/plain; charset=ISO-8859-1"."""
    given = attachment.get("contentType")
    kind, _, rest = (given if isinstance(given, str) else "of no type").lower().partition(";")
    charset = re.search(r"charset=[\"']?([\w.:-]+)", rest)
    return kind.strip(), charset[1] if charset else "utf-8-sig"


def _cda_or_error(markup: str) -> str:
    root = parse_xml(markup)
    if root.tag != f"{{{CDA}}}ClinicalDocument":
        raise MarkupError("XML that is no C-CDA document")
    body = root.find(f"{{{CDA}}}component/{{{CDA}}}nonXMLBody/{{{CDA}}}text")
    if body is not None:
        kind = body.get("mediaType", "text/plain")
        if kind not in _TEXT_OF:
            raise MarkupError(f"a C-CDA document whose body is {kind}, which cannot be read")
        if body.get("representation") == "B64":
            attachment = {"contentType": kind, "data": body.text}
            return _attached(attachment, _Bundle({}), None)
        return "".join(body.itertext())
    return cda_text(root)


def _from_cda(path: Path, fields: Fields) -> Note | Reject:
    with open_bytes(path) as file:
        raw = file.read()
    try:
        markup = raw.decode(_declared(raw))
        root = parse_xml(markup)
        values = _cda_values(root)
        values["text"] = _cda_or_error(markup)
    except (UnicodeDecodeError, LookupError):
        return Reject(str(path), None, "bytes that are not of the declared encoding")
    except (MarkupError, _Unusable) as problem:
        return Reject(str(path), None, str(problem))
    except RecursionError:
        return Reject(str(path), None, "nested too deeply")
    given = {name: value for name, value in values.items() if value}
    return fields.validated({**given, **fields.constants}, file=str(path), line=None)


def _declared(raw: bytes) -> str:
    found = re.search(rb"^[^>]{0,100}encoding=[\"']([\w.-]+)[\"']", raw[:200])
    return found[1].decode() if found else "utf-8-sig"


def _cda_values(root: Any) -> dict[str, Any]:
    def at(path: str, attribute: str) -> str | None:
        steps = "/".join(f"{{{CDA}}}{step}" for step in path.split("/"))
        element = root.find(steps)
        return None if element is None else element.get(attribute)

    title = root.find(f"{{{CDA}}}title")
    stay = "componentOf/encompassingEncounter"
    return {
        "note_id": at("id", "extension") or at("id", "root"),
        "patient_id": at("recordTarget/patientRole/id", "extension"),
        "encounter_id": at(f"{stay}/id", "extension"),
        "encounter_start": _cda_time(at(f"{stay}/effectiveTime/low", "value")),
        "encounter_end": _cda_time(at(f"{stay}/effectiveTime/high", "value")),
        "note_type": " ".join((title.text or "").split())
        if title is not None
        else at("code", "displayName"),
        "written_at": _cda_time(at("effectiveTime", "value")),
    }


def _cda_time(value: str | None) -> str | None:
    """`20120806`, `201208061530-0500` as ISO 8601; None if it is neither."""
    found = re.match(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?[.\d]*([+-]\d{4})?$", value or "")
    if not found:
        return None
    year, month, day, hour, minute, second, zone = found.groups()
    date = f"{year}-{month or '01'}-{day or '01'}"
    return _time(f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone or ''}" if hour else date)


def _time(value: object) -> str | None:
    """FHIR's dates may be partial: "2021" and "2021-11" are their first day."""
    if not isinstance(value, str):
        return None
    full = value + {4: "-01-01", 7: "-01"}.get(len(value), "")
    try:
        datetime.fromisoformat(full)
    except ValueError:
        return None
    return full


def _label(concept: object) -> str | None:
    """A CodeableConcept's text, or the display of its first coding."""
    text = _mapping(concept).get("text") or _mapping(_first(_mapping(concept).get("coding"))).get(
        "display"
    )
    return text if isinstance(text, str) else None


def _identifier(identifier: object) -> str | None:
    value = _mapping(identifier).get("value")
    return value if isinstance(value, str) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(value: object) -> Any:
    items = _list(value)
    return items[0] if items else None


_TEXT_OF: dict[str, Callable[[str], str]] = {
    "text/plain": str,
    "text/html": html_text,
    "application/xhtml+xml": html_text,
    "application/xhtml": html_text,
    "application/xml": _cda_or_error,
    "text/xml": _cda_or_error,
    "application/hl7-sda+xml": _cda_or_error,
    "application/cda+xml": _cda_or_error,
}
"""Content types that are read, best first."""
