"""Every error this package raises on purpose, as one tree.

```text
DrehrError
├── ScopeRequired (TypeError)     whose notes to search was not said
├── ScopeError                    a call would have reached outside its scope
│   └── NotAllowed                the application's own rule refuses the scope to this caller
├── TracingRefused                a tracer listens that may send notes to another server
├── NoteError (ValueError)        a note or a file of notes cannot be used
│   ├── NoNotes                   a file holds no note at all
│   └── NoteRejected              --strict met a row that cannot be read
├── EncoderError                  a model cannot be had, or gave vectors that cannot be used
│   ├── ModelUnavailable          not on this machine, and no hub to fetch it from
│   ├── TextTooLong               overflow="error" met a text that the model cannot read whole
│   └── EncoderMismatch           the store was made with another encoder
├── RerankerError                 a reranker cannot be loaded, failed, or gave no usable scores
├── StoreError                    the store cannot be used
│   ├── StoreMissing              nothing is there
│   ├── StoreInUse                another process holds it
│   ├── StoreDamaged              its files are broken
│   └── StoreOutdated             written by a version that this one cannot read
├── BadArgument (ValueError)      a value that cannot be meant, such as an empty query
│   └── UnknownName               no plug-in, field, filter or column has this name
├── GraphError (ValueError)       a knowledge graph, or a source of one, cannot be used
├── EngineError                   the workers of an engine cannot be had, or keep dying
├── EvaluationError (ValueError)  runs, judgments, questions or benchmarks that fit no score
├── TrainingError (ValueError)    an example, a loss or a batch that cannot be trained with
│   └── TrainingStopped           the loss is no number; it names the batch's examples
├── GeneratorError                the language model's server failed or talked nonsense
│   ├── GeneratorUnavailable      it is not there, is busy, or broke off: later may be better
│   │   └── GeneratorTimeout      it did not answer in time
│   ├── KeyRefused                it wants another key
│   ├── NoSuchModel               it has no such model, or no such path
│   ├── ContextOverflow           prompt and reply are longer than the model reads
│   └── ReplyUnusable             it answered, but the reply is cut or holds no text
└── MissingExtra (ImportError)    an optional package is not installed
```

Messages say what, why and what to do; none ever holds note text.
"""


class DrehrError(Exception):
    """The root: catch this to catch everything that drehr-rag raises on purpose."""


class ScopeRequired(DrehrError, TypeError):
    """Whose notes to search was not said; there is no default."""


class ScopeError(DrehrError):
    """A call would have reached, or did reach, outside the scope it was given."""


class NotAllowed(ScopeError):
    """The application's own rule says that this caller may not read these notes."""


class TracingRefused(DrehrError):
    """A framework's tracer listens that may send notes to another server."""


class NoteError(DrehrError, ValueError):
    """A note, or a file of notes, cannot be used."""


class NoNotes(NoteError):
    """A source holds no note at all."""


class NoteRejected(NoteError):
    """In strict mode, the first row that cannot be read."""


class EncoderError(DrehrError):
    """A model cannot be loaded, or gave vectors that cannot be used."""


class ModelUnavailable(EncoderError):
    """The model is not on this machine and cannot be fetched."""


class TextTooLong(EncoderError):
    """A text is longer than the model reads, and the encoder was told to refuse it."""


class EncoderMismatch(EncoderError):
    """The store was built with another encoder than the one given."""


class RerankerError(DrehrError):
    """A reranker cannot be loaded, its server failed, or its scores cannot be used."""


class StoreError(DrehrError):
    """The store cannot be used."""


class StoreMissing(StoreError):
    """There is no store at this place."""


class StoreInUse(StoreError):
    """Another process holds the store."""


class StoreDamaged(StoreError):
    """The store's files are broken."""


class StoreOutdated(StoreError):
    """The store was written in a form that this version cannot read."""


class BadArgument(DrehrError, ValueError):
    """A value that cannot be meant, such as an empty query or k = 0."""


class UnknownName(BadArgument):
    """No plug-in, field, filter or column has this name."""


class EvaluationError(DrehrError, ValueError):
    """Runs, judgments, questions or benchmarks that fit no score: it would only look right."""


class TrainingError(DrehrError, ValueError):
    """An example, a loss or a batch that cannot be trained with."""


class TrainingStopped(TrainingError):
    """The loss is no finite number; `ids` are those of the batch's examples, never their text."""

    def __init__(self, message: str, ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.ids = ids


class GraphError(DrehrError, ValueError):
    """A knowledge graph, or a file that one is to be built from, cannot be used."""


class GeneratorError(DrehrError):
    """The language model's server failed, or its reply cannot be used.

    Attributes:
        reason: What happened, without whose server it was: one of a few kinds, to be counted.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or message


class GeneratorUnavailable(GeneratorError):
    """The server is not there, is busy, or broke off; `retry_after` is how long it asks to wait."""

    def __init__(
        self, message: str, reason: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, reason)
        self.retry_after = retry_after


class GeneratorTimeout(GeneratorUnavailable):
    """The server did not answer in time, or stopped in the middle of its reply."""


class KeyRefused(GeneratorError):
    """The server wants another key: no prompt would have a reply."""


class NoSuchModel(GeneratorError):
    """The server has no such model, or no such path: no prompt would have a reply."""


class ContextOverflow(GeneratorError):
    """The prompt, with the room its reply may take, is longer than the model reads."""


class ReplyUnusable(GeneratorError):
    """The server answered, but the reply is cut or holds no text: another try gives the same."""


class EngineError(DrehrError):
    """The workers of an engine cannot be had, or keep dying."""


class MissingExtra(DrehrError, ImportError):
    """An optional package is not installed."""
