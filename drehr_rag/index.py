"""`EhrIndex`: notes in, hits and answers out; the one object that most users meet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from reprlib import repr as short
from threading import RLock
from typing import Any, Self

from drehr_rag._arguments import check_list, check_words, needs_scope, positive
from drehr_rag.encoders import load_encoder, options_of, same_encoder
from drehr_rag.encoders._probes import ALIKE, likeness, vectors_of
from drehr_rag.engines import load_engine
from drehr_rag.errors import BadArgument, EncoderMismatch, StoreDamaged, StoreMissing
from drehr_rag.generators import load_generator
from drehr_rag.generators.extractive import READS
from drehr_rag.indexing import IndexingRun, Progress
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.notes.readers import Fields
from drehr_rag.notes.sections import canonical
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.protocols import (
    Chunker,
    Encoder,
    Engine,
    Generator,
    KnowledgeGraph,
    NoteStream,
    Parts,
    Reranker,
    Retriever,
)
from drehr_rag.qa import Allow, AuditLog, QaChain, Settings
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._asserted import asserted
from drehr_rag.retrievers._current import Current
from drehr_rag.stores import Access, Layout, ScopedStore, open_store
from drehr_rag.types import (
    SERVED,
    AllPatients,
    Answer,
    AssertionMode,
    Chunk,
    Filters,
    Fingerprint,
    Hit,
    IndexReport,
    Note,
    PatientHits,
    Scope,
    SearchMode,
    as_id,
    as_time,
)

Names = str | Sequence[str] | None
When = str | date | datetime | None


class EhrIndex:
    """An index of clinical notes. Make one with `EhrIndex.open`.

    Every method that reads takes `scope`: `Patient`, `Encounter`, `Cohort` or `AllPatients`. A
    call without one raises `ScopeRequired`; filters only narrow.
    """

    def __init__(self, store: ScopedStore, *, location: str, encoder: Encoder | None) -> None:
        """Use `EhrIndex.open`; this checks the encoder against the store's."""
        self.location = location
        self._store = store
        self._encoder = encoder
        self._encoder_options: Mapping[str, Any] = {}
        self._access: Access | None = None
        self._chunker: Chunker | None = None
        self._retrievers: dict[str, Retriever] = {}
        self._loading = RLock()  # threads that search at once must not load a model each
        self._check_manifest()
        if encoder is not None:
            self._check(encoder)

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        encoder: str | Encoder | None = None,
        encoder_options: Mapping[str, Any] | None = None,
        chunker: str | None = None,
        chunker_options: Mapping[str, Any] | None = None,
        layout: Layout | None = None,
        access: Access | None = None,
        create: bool = True,
    ) -> Self:
        """Open an index, or make it if it does not exist and an encoder is given.

        Args:
            location: A folder (Qdrant's engine in this process), `http://host:6333/collection`
                (a Qdrant server), or `:memory:`.
            encoder: A name that `load_encoder` takes, or an encoder. An existing index
                remembers its own, loads it when needed, and refuses any other.
            encoder_options: For loading it by name, for instance `{"backend": "openvino"}`. An
                index remembers those that decide the vectors (`max_tokens`, `overflow`, `compat`,
                …) with the encoder's name; others are given at each opening.
            chunker: `sections` (default) or `words`; an existing index remembers its own.
            chunker_options: For instance `{"cleaning": "cliniq"}` for `words`.
            layout: How a new index keeps its vectors (precision, quantisation, shards, …).
            access: How the store is talked to (key, gRPC, timeouts, exact search, …).
            create: Whether one that does not exist is made.

        Raises:
            StoreMissing: There is no index, and no encoder was given to make one.
            StoreInUse: Another process has it open.
            StoreDamaged: Its files are broken.
            EncoderMismatch: It was made with another encoder.
            BadArgument: It was made with another chunker or in another layout, or there are
                options for an encoder that is loaded already.
        """
        loading = dict(encoder_options or {})
        place = str(location) if isinstance(location, str | Path) else ""
        if not place.strip():
            raise BadArgument("location is a folder, a URL or :memory:")
        try:
            store = open_store(place, layout=layout, access=access)
        except StoreMissing:
            if encoder is None or not create:
                raise
            model = _loaded(encoder, loading)
            make = partial(open_store, place, layout=layout, access=access)
            options = dict(chunker_options or {})
            index = cls._make(place, make, model, chunker or "sections", options)
            index._encoder_options, index._access = loading, access
            return index
        try:
            index = cls(store, location=place, encoder=None)
            index._encoder_options, index._access = loading, access
            if encoder is not None:
                index._encoder = index._own(encoder)
            index._check_chunker(chunker, chunker_options)
        except BaseException:
            store.close()
            raise
        return index

    @classmethod
    def _make(
        cls,
        place: str,
        make: Callable[..., ScopedStore],
        model: Encoder,
        chunker: str,
        options: dict[str, Any],
    ) -> Self:
        _build_chunker(chunker, options, model)  # bad options must not leave an empty store behind
        manifest = {
            "dimension": model.fingerprint.dimension,
            "encoder": {
                "name": model.name,
                "options": options_of(model),
                "fingerprint": asdict(model.fingerprint),
                "probes": vectors_of(model),
            },
            "chunker": {"name": chunker, "options": options},
        }
        index = cls(make(manifest=manifest), location=place, encoder=None)
        index._encoder = model
        return index

    # -- putting notes in and taking them out ------------------------------------------------

    def add(
        self,
        source: str | Path | NoteStream,
        *,
        format: str | None = None,
        fields: Fields | None = None,
        strict: bool = False,
        rejects: str | Path | None = None,
        progress: Progress | None = None,
        engine: Engine | None = None,
    ) -> IndexReport:
        """Index notes. Unchanged notes cost nothing, edited ones replace their old chunks.

        An interrupted run keeps what it has written; the next one goes on from there.

        Args:
            source: A file or folder of notes, plain or gzipped, or notes (and rejects).
            format: A reader's name; recognised if not given.
            fields: Which column holds which field of a note.
            strict: Stop at the first row that cannot be read.
            rejects: File for rows that cannot be read (file, line, reason; no text). By default
                `rejects.jsonl` in the index's folder.
            progress: Called with the report so far after each batch.
            engine: What reads, splits and encodes, from `load_engine`; this process by default.

        Returns:
            What was done; `rejected` rows stand in `rejects_file`.

        Raises:
            NoteRejected: In strict mode, what is wrong with the first bad row.
            NoNotes: The source holds no note.
        """
        engine = engine or load_engine("local")
        if isinstance(source, str | Path):
            reading = engine.read([Path(source)], format=format, fields=fields)
            notes: NoteStream = next(reading)[1]
        elif isinstance(source, Note) or not isinstance(source, Iterable):
            raise BadArgument("add takes a file, a folder or an iterable of notes")
        else:
            notes = source
        return self._run(engine, strict, rejects, progress).add(notes)

    def delete_notes(self, note_ids: Sequence[object]) -> int:
        """Remove notes and every trace of them; returns how many chunks went."""
        check_list(note_ids, "note_ids")
        gone = self._store.delete_notes([_id(note_id, "note_id") for note_id in note_ids])
        self._store.purge()
        return gone

    def delete_patient(self, patient_id: object) -> int:
        """Remove a patient's notes and every trace of them; returns how many chunks went."""
        gone = self._store.delete_patient(_id(patient_id, "patient_id"))
        self._store.purge()
        return gone

    # -- searching ---------------------------------------------------------------------------

    @needs_scope
    def search(
        self,
        query: str,
        *,
        scope: Scope,
        k: int = 10,
        mode: SearchMode = "expanded",
        assertion: AssertionMode = "ranked",
        note_type: Names = None,
        section: Names = None,
        since: When = None,
        until: When = None,
    ) -> list[Hit]:
        """The k best chunks for a query, best first.

        Args:
            query: A clinical entity or a few words ("heart failure").
            scope: Whose notes.
            k: At most so many hits.
            mode: `expanded`: words and meaning, and other words of the packaged graph or of
                another (`use_graph`); `hybrid`: without a graph; `dense`, `lexical`, `rrf`; or
                `reranked` (`use_reranker`).
            assertion: `ranked`: chunks that only deny it ("denies chest pain") sink; `present`:
                those that mention it, but never as present, are left out; `any`: neither.
            note_type: Only notes of this type, or these.
            section: Only chunks under this heading, or these ("PMH" = "past medical history").
            since: Only notes written at or after this time.
            until: Only notes written at or before this time; a date alone means its whole day.

        Raises:
            ScopeRequired: No scope.
            BadArgument: An empty query, a k below 1, a time or an assertion that is none.
        """
        return self.search_batch(
            [query],
            scope=scope,
            k=k,
            mode=mode,
            assertion=assertion,
            note_type=note_type,
            section=section,
            since=since,
            until=until,
        )[0]

    @needs_scope
    def search_batch(
        self,
        queries: Sequence[str],
        *,
        scope: Scope,
        k: int = 10,
        mode: SearchMode = "expanded",
        assertion: AssertionMode = "ranked",
        note_type: Names = None,
        section: Names = None,
        since: When = None,
        until: When = None,
    ) -> list[list[Hit]]:
        """As `search`, for many queries at once; encodes them in one go."""
        check_list(queries, "queries")
        positive(k)
        for query in queries:
            check_words(query, "query")
        filters = named_filters(note_type, section, since, until)
        retriever = asserted(self._retriever(mode), assertion)
        return retriever.retrieve(list(queries), scope=scope, filters=filters, k=k)

    def use_graph(
        self,
        graph: str | Path | KnowledgeGraph,
        *,
        abbreviations: Sequence[str | Path] | None = None,
        **options: Any,
    ) -> None:
        """Widen queries of mode `expanded` by a knowledge graph: "CHF" finds "heart failure".

        Args:
            graph: A folder that `drehr-rag kg build` made, any knowledge graph, or `packaged`:
                the one that comes with the package, which is also used without this call.
            abbreviations: Inventories (docs/knowledge-graphs.md), the most trusted first; the
                package's if not given, none if empty.
            options: `weights` by kind of match, `steps` down to narrower concepts, `nearest` (a
                folder of `drehr-rag kg nearest`) with `least`, and those of `hybrid`.

        Raises:
            GraphError: The folder holds no graph, or a file is no inventory.
            BadArgument: A kind or a weight that cannot be meant.
            UnknownName: No option has this name.
        """
        given = {"graph": graph, "abbreviations": abbreviations, **options}
        parts = {"encoder": self.encoder, "store": self._store}
        self._retrievers["expanded"] = load_retriever("expanded", **parts, **given)

    def use_reranker(
        self,
        reranker: str | Path | Reranker = "late-interaction",
        *,
        base: SearchMode = "expanded",
        **options: Any,
    ) -> None:
        """Have the best hits looked at again by a model in mode `reranked`.

        Args:
            reranker: `late-interaction`, by the index's own encoder; `combined`, a weighted sum
                of what is known of a hit anyway; `cross-encoder:MODEL`;
                `served:http://host:8000/v1`; or any reranker.
            base: The mode that searches first.
            options: `depth`, `share`, and `reranker_options` (docs/reranking.md).

        Raises:
            BadArgument: An option that cannot be meant.
            ModelUnavailable: The reranker's model or server is not there.
            UnknownName: There is no such reranker, mode, or option.
        """
        if base == "reranked":
            raise BadArgument("base is a mode that searches by itself, not reranked")
        self._retriever(base)
        later = Current(partial(self._retriever, base))  # use_graph may put another in its place
        parts = {"encoder": self.encoder, "store": self._store, "base": later}
        self._retrievers["reranked"] = load_retriever(
            "reranked", reranker=reranker, **parts, **options
        )

    @needs_scope
    def search_patients(
        self,
        query: str,
        *,
        scope: Scope,
        k: int = 10,
        per_patient: int = 3,
        mode: SearchMode = "expanded",
        assertion: AssertionMode = "ranked",
        note_type: Names = None,
        section: Names = None,
        since: When = None,
        until: When = None,
    ) -> list[PatientHits]:
        """The k patients whose notes fit the query best, each with up to `per_patient` hits.

        Patients stand in the order of their best hit. Notes that belong to no patient are
        passed over. Other arguments as in `search`.
        """
        positive(k)
        positive(per_patient, "per_patient")
        check_words(query, "query")
        filters = named_filters(note_type, section, since, until)
        return asserted(self._retriever(mode), assertion).retrieve_patients(
            query, scope=scope, filters=filters, k=k, per_patient=per_patient
        )

    @needs_scope
    def ask(
        self,
        question: str,
        *,
        scope: Scope,
        generator: Generator | None = None,
        generator_url: str | None = None,
        passages: int | None = None,
        note_type: Names = None,
        section: Names = None,
        since: When = None,
        until: When = None,
    ) -> Answer:
        """Answer a question from the notes in scope, each sentence with a citation.

        Args:
            question: In plain words.
            scope: Whose notes.
            generator: What writes the answer; without one, and without a URL, the best
                sentences are quoted as they stand.
            generator_url: An OpenAI-compatible server, e.g. `http://localhost:8000/v1`.
            passages: How many passages are read: by default 8, or 24 where they are quoted.
            note_type: As in `search`.
            section: As in `search`.
            since: As in `search`.
            until: As in `search`.

        Returns:
            An answer, or one with `abstained` and the reason.

        Raises:
            ScopeRequired: No scope.
            GeneratorError: The generator's server failed.
        """
        narrow = {"note_type": note_type, "section": section, "since": since, "until": until}
        settings = None if passages is None else Settings(passages=passages)
        if generator is None and generator_url:
            client: Any = load_generator("openai", url=generator_url)
            with client:
                return self.qa_chain(client, settings=settings).ask(question, scope=scope, **narrow)
        return self.qa_chain(generator, settings=settings).ask(question, scope=scope, **narrow)

    def qa_chain(
        self,
        generator: Generator | None = None,
        *,
        settings: Settings | None = None,
        allow: Allow | None = None,
        caller: str | None = None,
        audit: AuditLog | None = None,
    ) -> QaChain:
        """What answers many questions: awaited, streamed, in batches, allowed and recorded.

        Args:
            generator: As in `ask`.
            settings: How questions are answered.
            allow: Whether a caller may read a scope; asked before anything is searched.
            caller: Who asks.
            audit: Where each question is recorded.
        """
        if generator is None:
            generator = load_generator("extractive", split=sentence_spans)
            settings = settings or Settings(passages=READS)
        return QaChain(
            partial(self.search_batch, assertion="any"),  # what is denied answers questions too
            generator,
            settings=settings,
            allow=allow,
            caller=caller,
            audit=audit,
        )

    # -- looking -----------------------------------------------------------------------------

    @needs_scope
    def get(self, chunk_ids: Sequence[str], *, scope: Scope) -> list[Chunk]:
        """Those of the chunks that exist in scope, in the order asked for."""
        check_list(chunk_ids, "chunk_ids")
        if not all(isinstance(chunk_id, str) for chunk_id in chunk_ids):
            raise BadArgument("chunk_ids are strings")
        return self._store.get(list(chunk_ids), scope=scope)

    @needs_scope
    def count(
        self,
        *,
        scope: Scope,
        note_type: Names = None,
        section: Names = None,
        since: When = None,
        until: When = None,
    ) -> int:
        """How many chunks are in scope."""
        return self._store.count(
            scope=scope, filters=named_filters(note_type, section, since, until)
        )

    @needs_scope
    def facets(
        self,
        field: str,
        *,
        scope: Scope,
        note_type: Names = None,
        section: Names = None,
        since: When = None,
        until: When = None,
    ) -> dict[str, int]:
        """Chunks per value of `patient_id`, `encounter_id`, `note_id`, `note_type` or `section`.

        Most frequent first. Note types are in lower case, sections by their usual names.
        """
        filters = named_filters(note_type, section, since, until)
        return self._store.facets(field, scope=scope, filters=filters)

    def info(self) -> dict[str, Any]:
        """Where it is, how it was made and how much it holds; no patient is named."""
        everybody = AllPatients(reason="size of the index")
        manifest = self._store.manifest
        return {
            "location": self.location,
            "chunks": self._store.count(scope=everybody),
            "notes": len(self._store.facets("note_id", scope=everybody)),
            "patients": len(self._store.facets("patient_id", scope=everybody)),
            "encoder": manifest["encoder"]["name"],
            "dimension": manifest["dimension"],
            "fingerprint": manifest["encoder"]["fingerprint"],
            "chunker": manifest["chunker"],
            "layout": manifest.get("layout"),
            "schema": manifest["schema"],
        }

    # -- parts -------------------------------------------------------------------------------

    @property
    def store(self) -> ScopedStore:
        """Where the chunks are; it asks for a scope too."""
        return self._store

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded now if it was not."""
        with self._loading:
            if self._encoder is None:
                self._encoder = self._own(self._store.manifest["encoder"]["name"])
            return self._encoder

    @property
    def chunker(self) -> Chunker:
        """The chunker that the index was made with."""
        if self._chunker is None:
            made = self._store.manifest["chunker"]
            self._chunker = _build_chunker(made["name"], made["options"], self.encoder)
        return self._chunker

    def close(self) -> None:
        """Flush and let go of the store; also done at the end of a `with` block."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EhrIndex({self.location!r}, encoder={self._store.manifest['encoder']['name']!r})"

    def _retriever(self, mode: str) -> Retriever:
        with self._loading:
            if mode not in self._retrievers and mode == "reranked":
                self.use_reranker()
            elif mode not in self._retrievers:
                encoder = None if mode == "lexical" else self.encoder
                self._retrievers[mode] = load_retriever(mode, encoder=encoder, store=self._store)
            return self._retrievers[mode]

    def _run(
        self, engine: Engine, strict: bool, rejects: str | Path | None, progress: Progress | None
    ) -> IndexingRun:
        made = self._store.manifest["chunker"]
        parts = Parts(
            encoder=self.encoder,
            encoder_options={**options_of(self.encoder), **self._encoder_options},
            chunker=self.chunker,
            chunker_name=made["name"],
            chunker_options=made["options"],
            location=self.location,
            access=self._access,
        )
        return IndexingRun(
            store=self._store,
            engine=engine,
            parts=parts,
            rejects=Path(rejects) if rejects else self._rejects_file(),
            strict=strict,
            progress=progress,
        )

    def _rejects_file(self) -> Path:
        folder = getattr(self._store, "folder", None)
        return folder / "rejects.jsonl" if folder else Path("rejects.jsonl")

    def _check_manifest(self) -> None:
        made = self._store.manifest
        try:
            held = Fingerprint(**made["encoder"]["fingerprint"])
            whole = all(isinstance(made[part]["name"], str) for part in ("encoder", "chunker"))
            whole = whole and isinstance(made["chunker"]["options"], dict)
            whole = whole and isinstance(made["encoder"].get("options", {}), dict)
        except (KeyError, TypeError):
            whole = False
        if not whole or held.dimension != made["dimension"]:
            raise StoreDamaged(
                f"the manifest of {self.location} does not say which encoder and chunker made it: "
                "put back a copy of the store, or index the notes again"
            )

    def _own(self, encoder: str | Encoder) -> Encoder:
        """The encoder, if the index was made with it; by its name also with what is remembered."""
        made, options = self._store.manifest["encoder"], self._encoder_options
        if isinstance(encoder, str) and same_encoder(encoder, made["name"]):
            options = {**made.get("options", {}), **options}
        loaded = _loaded(encoder, options)
        self._check(loaded)
        return loaded

    def _check(self, encoder: Encoder) -> None:
        """Compare what decides the vectors, then some vectors.

        A name or revision means nothing beside the hash of the weights; a server tells neither
        hash nor pooling, so there the vectors alone decide. They are compared in any case: weights
        that a library loads wrongly have the right hash.
        """
        given = encoder.fingerprint
        held = Fingerprint(**self._store.manifest["encoder"]["fingerprint"])
        ignored = {"model", "revision"}
        if SERVED in (held.weights, given.weights):
            ignored |= {"weights", "pooling", "compat", "query_prompt", "passage_prompt"}
        differ = [
            f"{name}: {short(value)} there, {short(getattr(given, name))} here"
            for name, value in asdict(held).items()
            if name not in ignored and value != getattr(given, name)
        ]
        probes = self._store.manifest["encoder"].get("probes")
        if not probes and SERVED in (held.weights, given.weights):
            differ = ["what cannot be told: a served encoder needs probe vectors in the manifest"]
        if not differ and probes and (alike := self._likeness(probes, encoder)) < ALIKE:
            differ = [f"the vectors of eight probe texts, cosine {alike:.4f}"]
        if differ:
            raise EncoderMismatch(
                f"{self.location} was made with {held}, not with {given} (they differ in "
                f"{', '.join(differ)}): open it with its own encoder and the options it was made "
                "with, or index into a new store"
            )

    def _likeness(self, probes: Mapping[str, Any], encoder: Encoder) -> float:
        try:
            return likeness(probes, encoder)
        except (KeyError, TypeError, ValueError):  # not those of an older version, but broken
            raise StoreDamaged(
                f"the probe vectors in the manifest of {self.location} are broken: put back a copy "
                "of the store, or index the notes again"
            ) from None

    def _check_chunker(self, name: str | None, options: Mapping[str, Any] | None) -> None:
        made = self._store.manifest["chunker"]
        other_name = name is not None and name != made["name"]
        if other_name or (options is not None and dict(options) != made["options"]):
            raise BadArgument(
                f"{self.location} was made with chunker {made['name']!r} {made['options']}: "
                "leave chunker out, or index into a new store"
            )


def _loaded(encoder: str | Encoder, options: Mapping[str, Any]) -> Encoder:
    if isinstance(encoder, str | Path):
        return load_encoder(encoder, **options)
    if options:
        raise BadArgument("encoder_options are for an encoder given by name: this one is loaded")
    return encoder


def _build_chunker(name: str, options: Mapping[str, Any], encoder: Encoder) -> Chunker:
    return load_chunker(
        name, count_tokens=encoder.count_tokens, max_tokens=encoder.max_tokens, **options
    )


def _id(value: object, what: str) -> str:
    try:
        return as_id(value)
    except ValueError as problem:
        raise BadArgument(f"{what} {problem}") from None


def named_filters(note_type: Names, section: Names, since: When, until: When) -> Filters:
    """What these arguments of `search` say, as a store takes it."""
    sections = _names(section, "section")
    return Filters(
        note_types=_names(note_type, "note_type"),
        sections=None if sections is None else tuple(map(canonical, sections)),
        since=_time(since, "since"),
        until=_end_of_day(until, _time(until, "until")),
    )


def _names(value: Names, what: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, str):
        check_list(value, what)
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(name, str) for name in names):
        raise BadArgument(f"{what} is a name or a list of names")
    return names


def _time(value: When, what: str) -> datetime | None:
    if isinstance(value, str) and not value.strip():
        raise BadArgument(f"{what} is empty: leave it out, or give a date such as 2180-05-07")
    try:
        return as_time(value)
    except ValueError as problem:
        raise BadArgument(f"{what} {problem}") from None


def _end_of_day(given: When, moment: datetime | None) -> datetime | None:
    day_only = isinstance(given, str) and len(given.strip()) <= len("2180-05-07")
    if moment and (day_only or (isinstance(given, date) and not isinstance(given, datetime))):
        return datetime.combine(moment.date(), time.max)
    return moment
