"""Files of the evaluation: what is wrong with one is an `EvaluationError`."""

from functools import partial

from drehr_rag import _files
from drehr_rag.errors import EvaluationError

opened = partial(_files.opened, error=EvaluationError)
written = partial(_files.written, error=EvaluationError)
