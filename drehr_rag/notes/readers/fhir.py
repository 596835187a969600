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
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from drehr_rag.notes.readers._fields import Fields, id_or_none
from drehr_rag.notes.readers._markup import CDA, MarkupError, cda_text, html_text, parse_xml
from drehr_rag.notes.readers._open import byte_lines
from drehr_rag.types import Note, Reject

ATTACHED_IN = {"DocumentReference": "content", "DiagnosticReport": "presentedForm"}
"""The resources that are notes, and where each keeps its attachments."""

LINK = (
    "the attachment is only a link: export the Binary resources too, or put the data inline "
    "into the resource"
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class _Unusable(ValueError):
    """Why a resource is no note; never its text."""


def recognise(path: Path, head: str) -> bool:
    """A FHIR resource in JSON, or a C-CDA document."""
    plain = head.replace("\0", "")  # UTF-16
    cda = re.search(r"<([\w.-]+:)?ClinicalDocument\s", plain) is not None and CDA in plain
    return '"resourceType"' in head or cda


def read(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    """Each DocumentReference and DiagnosticReport, or the one document.

    NDJSON is read line by line; a Bundle is one JSON value and is held in memory as a whole.

    Raises:
        NoteError: The file is missing or damaged.
    """
    first = next((line for _, line in byte_lines(path) if line.strip()), b"")
    if first.lstrip().startswith(b"<") or first.startswith(_UTF16):
        yield _from_cda(path, fields)
    elif _one_a_line(path, first.strip()):
        for number, line in byte_lines(path):
            if line.strip():
                yield from _from_json(line, str(path), number, fields)
    else:
        yield from _from_json(_content(path), str(path), None, fields)


def _one_a_line(path: Path, first: bytes) -> bool:
    """NDJSON by its name, or because the first line is a value of its own."""
    if {".ndjson", ".jsonl"} & set(path.suffixes) and first not in {b"{", b"["}:
        return True
    try:
        json.loads(first)
    except json.JSONDecodeError:
        return False
    except (ValueError, RecursionError):
        return True
    return True


def _content(path: Path) -> bytes:
    return b"".join(line for _, line in byte_lines(path))


def _from_json(
    content: bytes, file: str, line: int | None, fields: Fields
) -> Iterator[Note | Reject]:
    try:
        resource = json.loads(content)
    except UnicodeDecodeError:
        yield Reject(file, line, "bytes that are not UTF-8")
    except RecursionError:
        yield Reject(file, line, "JSON that is nested too deeply")
    except ValueError as problem:
        yield Reject(file, line or getattr(problem, "lineno", None), "broken JSON")
    else:
        yield from _from_resource(resource, file, line, fields)


def _from_resource(
    resource: object, file: str, line: int | None, fields: Fields
) -> Iterator[Note | Reject]:
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        yield Reject(file, line, "not a FHIR resource")
        return
    try:
        bundle = _Bundle(resource)
    except _Unusable as problem:
        yield Reject(file, line, f"a Bundle that cannot be read: {problem}")
        return
    for one in bundle.resources:
        kind = one.get("resourceType") if isinstance(one, dict) else None
        if not isinstance(kind, str):
            yield Reject(file, line, "an entry of a Bundle that is not a FHIR resource")
        elif kind in ATTACHED_IN:
            yield _note(one, bundle, file, line, fields)
        elif kind == "Bundle":
            yield from _from_resource(one, file, line, fields)


class _Bundle:
    """The resources of a Bundle, found by reference; a single resource is a Bundle of one."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.resources: list[Any] = [resource]
        self._by_url: dict[str, Any] = {}
        self._by_id: dict[str, Any] = {}
        self._without_url: dict[str, Any] = {}
        if resource.get("resourceType") == "Bundle":
            entries = _array(resource, "entry")
            for entry in entries:
                self._add(entry)
            found = (e.get("resource") if isinstance(e, dict) else e for e in entries)
            self.resources = [one for one in found if one is not None]

    def _add(self, entry: object) -> None:
        """Of two resources with one name the first counts: in a history it is the newest."""
        one, url = _mapping(_mapping(entry).get("resource")), _mapping(entry).get("fullUrl")
        name = f"{one.get('resourceType')}/{one.get('id')}"
        self._by_id.setdefault(name, one)
        if isinstance(url, str):
            self._by_url.setdefault(url, one)
        if not isinstance(url, str) or url.startswith("urn:"):
            self._without_url.setdefault(name, one)

    def resolve(self, target: str, owner: Mapping[str, Any]) -> Mapping[str, Any]:
        """The resource behind a reference; empty if it is not here.

        An absolute URL never finds the resource of another server that has the same id.
        """
        if target.startswith("#"):
            inside = _array(owner, "contained")
            return next((_mapping(c) for c in inside if _mapping(c).get("id") == target[1:]), {})
        if target in self._by_url:
            return _mapping(self._by_url[target])
        kind, own = _named(target)
        here = self._without_url if "://" in target else self._by_id
        return _mapping(here.get(f"{kind}/{own}"))

    def id_of(self, reference: Mapping[str, Any], owner: Mapping[str, Any], kind: str) -> str:
        """The id behind a reference: "Patient/7", an absolute URL, `urn:uuid:…`, "#p1".

        Raises:
            _Unusable: It leads to something else than a `kind`, or to nothing that has an id.
        """
        target = reference.get("reference")
        if target is None:
            return _identifier(reference, kind)
        if not isinstance(target, str) or "?" in target:
            raise _Unusable(f"its reference to the {kind} is not a plain reference")
        found = self.resolve(target, owner)
        named, own = _named(target)
        if (found.get("resourceType") or named or reference.get("type") or kind) != kind:
            raise _Unusable(f"what it refers to is not a {kind}")
        if target.startswith("#"):
            return _contained(found, owner, kind)
        known = found.get("id")
        return known if isinstance(known, str) else own


def _named(target: str) -> tuple[str | None, str]:
    """("Patient", "7") of `https://host/fhir/Patient/7/_history/2`."""
    if target.startswith("urn:"):
        return None, target.removeprefix("urn:uuid:")
    parts = target.split("/_history/", 1)[0].rsplit("/", 2)
    return (parts[-2] if len(parts) > 1 and parts[-2][:1].isupper() else None), parts[-1]


def _contained(found: Mapping[str, Any], owner: Mapping[str, Any], kind: str) -> str:
    """The identifier of a contained resource, or an id that no other document shares.

    Its own id ("#p1") means something only inside its document: two documents with a "#p1" are
    not of the same patient.
    """
    if not found:
        raise _Unusable(f"the contained {kind} that it refers to is not there")
    for identifier in _array(found, "identifier"):
        value = _mapping(identifier).get("value")
        if isinstance(value, str) and value.strip():
            return value
    return f"{owner.get('id')}#{found.get('id')}"


def _identifier(reference: Mapping[str, Any], kind: str) -> str:
    if (reference.get("type") or kind) != kind:
        raise _Unusable(f"what it refers to is not a {kind}")
    value = _object(reference, "identifier").get("value")
    if value is not None and not isinstance(value, str):
        raise _Unusable(f"the identifier of its {kind} is not text")
    return value or ""


def _note(
    resource: Mapping[str, Any], bundle: _Bundle, file: str, line: int | None, fields: Fields
) -> Note | Reject:
    known = id_or_none(resource.get("id"))
    try:
        if "entered-in-error" in (resource.get("status"), resource.get("docStatus")):
            whose = fields.constants.get("patient_id") or _patient(resource, bundle)
            reason = "its status is entered-in-error"
            return Reject(file, line, reason, known, whose, retracted=True)
        values = _values(resource, bundle, fields)
    except (_Unusable, MarkupError) as problem:
        return Reject(file, line, str(problem), known)
    except RecursionError:
        return Reject(file, line, "nested too deeply", known)
    return fields.validated({**values, **fields.constants}, file=file, line=line)


def _patient(resource: Mapping[str, Any], bundle: _Bundle) -> str | None:
    return bundle.id_of(_object(resource, "subject"), resource, "Patient") or None


def _values(resource: Mapping[str, Any], bundle: _Bundle, fields: Fields) -> dict[str, Any]:
    """The fields of a note that the resource holds, less those that the user gave."""
    values: dict[str, Any] = {
        "note_id": resource.get("id"),
        "note_type": _label(resource, "type") or _label(resource, "code"),
        "written_at": _written(resource),
        **_stay(resource, bundle),
    }
    if "patient_id" not in fields.constants:
        values["patient_id"] = _patient(resource, bundle)
    values["text"] = _text(resource, bundle)
    return {name: value for name, value in values.items() if value is not None}


def _stay(resource: Mapping[str, Any], bundle: _Bundle) -> dict[str, Any]:
    """The encounter and, if it is in the bundle, its period; an EpisodeOfCare is none."""
    stays = _array(_object(resource, "context"), "encounter")
    stay = _mapping(stays[0]) if stays else _object(resource, "encounter")
    if stays and not stay:
        raise _Unusable("its encounter is not a reference")
    target = stay.get("reference")
    if stay.get("type") == "EpisodeOfCare" or (
        isinstance(target, str) and _named(target)[0] == "EpisodeOfCare"
    ):
        return {}
    found = bundle.resolve(target, resource) if isinstance(target, str) else {}
    period = _object(found, "period")
    return {
        "encounter_id": bundle.id_of(stay, resource, "Encounter") or None,
        "encounter_start": _time(period.get("start")),
        "encounter_end": _time(period.get("end")),
    }


def _written(resource: Mapping[str, Any]) -> object:
    times = (
        resource.get("date"),
        resource.get("effectiveDateTime"),
        _object(resource, "effectivePeriod").get("start"),
        resource.get("issued"),
        _object(_object(resource, "context"), "period").get("start"),
    )
    return next((_time(time) for time in times if time is not None), None)


class _Attachment(NamedTuple):
    kind: str | None
    charset: str | None
    data: object
    link: bool


def _text(resource: Mapping[str, Any], bundle: _Bundle) -> str:
    """The document's text, from its best attachment that can be read.

    Raises:
        _Unusable: There is none.
        MarkupError: It is broken.
    """
    attachments = [_attachment(a, bundle, resource) for a in _attachments(resource)]
    if not attachments:
        return _without_attachment(resource)
    readable = [a for a in attachments if a.kind in _TEXT_OF]
    if not readable:
        if any(a.link and a.kind is None for a in attachments):
            raise _Unusable(LINK)
        kinds = ", ".join(sorted({a.kind or "of no known type" for a in attachments})[:5])
        raise _Unusable(f"its attachments are {kinds}: none can be read")
    order = list(_TEXT_OF)
    problems: list[ValueError] = []
    for attachment in sorted(readable, key=lambda a: order.index(a.kind or "")):
        try:
            return _attached(attachment)
        except (_Unusable, MarkupError) as problem:
            problems.append(problem)
    raise problems[0]


def _attachments(resource: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    name = ATTACHED_IN[resource["resourceType"]]
    given = resource.get(name)
    if not isinstance(given, list | None):
        raise _Unusable(f"its {name} is not a list: no attachment can be read")
    if any(not isinstance(item, dict) for item in given or []):
        raise _Unusable(f"its {name} holds something that is not an object")
    if name == "content":
        return [_object(item, "attachment") for item in given or []]
    return given or []


def _without_attachment(resource: Mapping[str, Any]) -> str:
    if resource["resourceType"] == "DiagnosticReport":
        conclusion = resource.get("conclusion")
        if isinstance(conclusion, str) and conclusion.strip():
            return conclusion
        narrative = _object(resource, "text").get("div")
        if isinstance(narrative, str) and (text := html_text(narrative)):
            return text
    raise _Unusable("it holds no attachment, no conclusion and no narrative")


def _attachment(given: Mapping[str, Any], bundle: _Bundle, owner: Mapping[str, Any]) -> _Attachment:
    """The attachment with its data, from the bundle's Binary resource if it is a link."""
    data, url, said = given.get("data"), given.get("url"), given.get("contentType")
    if data is None and isinstance(url, str):
        binary = bundle.resolve(url, owner)
        if binary.get("resourceType") == "Binary":
            data, said = binary.get("data"), said or binary.get("contentType")
    kind, charset = _content_type(said)
    return _Attachment(kind, charset, data, link=data is None and bool(url))


def _attached(attachment: _Attachment) -> str:
    kind, charset, data, link = attachment
    if link:
        raise _Unusable(LINK)
    if not isinstance(data, str):
        raise _Unusable("its attachment holds no data")
    try:
        raw = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _Unusable("bad base64 in its attachment") from None
    text_of = _TEXT_OF[kind or ""]
    return text_of(_decoded(raw, charset or _declared(raw, xml=text_of is _cda_document)))


def _decoded(raw: bytes, charset: str) -> str:
    try:
        return raw.decode("utf-8-sig" if charset in {"utf-8", "utf8"} else charset)
    except (UnicodeError, LookupError):  # the codec "undefined" raises a bare UnicodeError
        raise _Unusable(f"bytes in its attachment that are not {charset}") from None


def _declared(raw: bytes, *, xml: bool) -> str:
    """The encoding that an XML document declares; UTF-8 for all else."""
    if xml and raw.startswith(_UTF16):
        return "utf-16"
    found = re.match(rb"[^>]{0,100}encoding=[\"']([\w.-]{1,40})[\"']", raw[:200]) if xml else None
    return found[1].decode().lower() if found else "utf-8"


def _content_type(given: object) -> tuple[str | None, str | None]:
    """("text/plain", "iso-8859-1") of "text/plain; charset=ISO-8859-1"; None for what is none.

    A type is named in a `Reject`, so nothing passes for one that could be a phrase of a note.
    """
    kind, _, rest = (given if isinstance(given, str) else "").lower().partition(";")
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", rest, re.ASCII)
    known = re.fullmatch(r"[a-z]{1,20}/[a-z0-9.+-]{1,100}", kind.strip())
    return known and known[0], charset and charset[1]


def _cda_document(markup: str) -> str:
    return _cda_body(_cda_root(markup))


def _cda_root(markup: str) -> Element:
    root = parse_xml(markup)
    if root.tag != f"{{{CDA}}}ClinicalDocument":
        raise MarkupError("XML that is no C-CDA document")
    return root


def _cda_body(root: Element) -> str:
    """The sections' narrative, or the text that the document is only an envelope for."""
    body = root.find(_path("component/nonXMLBody/text"))
    if body is None:
        if not (text := cda_text(root)):
            raise _Unusable("its text is missing: no section of the document holds any")
        return text
    kind, charset = _content_type(body.get("mediaType", "text/plain"))
    if kind not in _TEXT_OF:
        raise _Unusable(f"a C-CDA document whose body is {kind or 'of no known type'}")
    text = "".join(body.itertext())
    if body.get("representation") == "B64":
        return _attached(_Attachment(kind, charset, text, link=False))
    if not text.strip() and body.find(_path("reference")) is not None:
        raise _Unusable("its text is missing: the body of the document is only a link")
    return _TEXT_OF[kind](text)


def _from_cda(path: Path, fields: Fields) -> Note | Reject:
    raw, values = _content(path), {}
    try:
        root = _cda_root(_decoded(raw, _declared(raw, xml=True)))
        values = {name: value for name, value in _cda_values(root).items() if value}
        values["text"] = _cda_body(root)
    except (MarkupError, _Unusable) as problem:
        return Reject(str(path), None, str(problem), values.get("note_id"))
    except RecursionError:
        return Reject(str(path), None, "nested too deeply", values.get("note_id"))
    return fields.validated({**values, **fields.constants}, file=str(path), line=None)


def _cda_values(root: Element) -> dict[str, str | None]:
    def at(path: str, attribute: str) -> str | None:
        given = (element.get(attribute) for element in root.iterfind(_path(path)))
        return next((value for value in given if value), None)

    stay = "componentOf/encompassingEncounter"
    title = root.find(_path("title"))
    words = "" if title is None else " ".join("".join(title.itertext()).split())
    start = at(f"{stay}/effectiveTime/low", "value") or at(f"{stay}/effectiveTime", "value")
    return {
        "note_id": at("id", "extension") or at("id", "root"),
        "patient_id": at("recordTarget/patientRole/id", "extension"),
        "encounter_id": at(f"{stay}/id", "extension"),
        "encounter_start": _cda_time(start),
        "encounter_end": _cda_time(at(f"{stay}/effectiveTime/high", "value")),
        "note_type": words or at("code", "displayName"),
        "written_at": _cda_time(at("effectiveTime", "value")),
    }


def _path(steps: str) -> str:
    return "/".join(f"{{{CDA}}}{step}" for step in steps.split("/"))


def _cda_time(value: str | None) -> str | None:
    """`20120806`, `201208061530-0500` as ISO 8601; anything else as it is, to be rejected."""
    digits = r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.\d+)?([+-]\d{4})?"
    found = re.fullmatch(digits, (value or "").strip(), re.ASCII)
    if not found:
        return value
    year, month, day, hour, minute, second, zone = found.groups()
    date = f"{year}-{month or '01'}-{day or '01'}"
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone or ''}" if hour else date


def _time(value: object) -> object:
    """FHIR's dates may be partial: "2021" and "2021-11" are their first day."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}(-\d\d)?", value.strip(), re.ASCII):
        return value.strip() + {4: "-01-01", 7: "-01"}[len(value.strip())]
    return value


def _label(resource: Mapping[str, Any], name: str) -> str | None:
    """A CodeableConcept's text, or else the first display of its codings."""
    concept = _object(resource, name)
    codings = _array(concept, "coding")
    given = [concept.get("text"), *(_mapping(coding).get("display") for coding in codings)]
    return next((label for label in given if isinstance(label, str) and label.strip()), None)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name, empty if there is none."""
    value = holder.get(name)
    if not isinstance(value, dict | None):
        raise _Unusable(f"its {name} is not an object")
    return value or {}


def _array(holder: Mapping[str, Any], name: str) -> list[Any]:
    """The list under a name, empty if there is none."""
    value = holder.get(name)
    if not isinstance(value, list | None):
        raise _Unusable(f"its {name} is not a list")
    return value or []


_TEXT_OF: dict[str | None, Callable[[str], str]] = {
    "text/plain": str,
    "text/html": html_text,
    "application/xhtml+xml": html_text,
    "application/xhtml": html_text,
    "application/xml": _cda_document,
    "text/xml": _cda_document,
    "application/hl7-sda+xml": _cda_document,
    "application/cda+xml": _cda_document,
}
"""Content types that are read, best first."""
