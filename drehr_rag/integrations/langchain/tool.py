"""A retriever as an agent's tool: the model chooses the query, never whose notes are searched."""

from collections.abc import Sequence

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, ConfigDict, Field

from drehr_rag._arguments import check_words
from drehr_rag.errors import BadArgument

NAME = "search_notes"
DESCRIPTION = (
    "Searches the clinical notes of the patient or patients at hand. Use clinical entities or a "
    "few words, such as 'heart failure' or 'anticoagulation on discharge'. Returns numbered "
    "passages."
)
LONGEST = 500
"""Characters of a query. Stated in the schema: a served model that is held to it by its grammar may
else write without end."""

NOTHING = "No passage of these notes fits the query."


class Query(BaseModel):
    """All that a model may say."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(description="What to look for, in a few words.", max_length=LONGEST)


def notes_tool(
    retriever: BaseRetriever, *, name: str = NAME, description: str = DESCRIPTION
) -> BaseTool:
    """The tool; passages are its content, the documents its artifact.

    Whose notes it searches is bound by the retriever and by the config with which the application
    calls its agent.
    """

    def search(query: str, config: RunnableConfig) -> tuple[str, list[Document]]:
        _check(query)
        documents = retriever.invoke(query, config)
        return passages(documents), documents

    async def asearch(query: str, config: RunnableConfig) -> tuple[str, list[Document]]:
        _check(query)
        documents = await retriever.ainvoke(query, config)
        return passages(documents), documents

    return StructuredTool(
        name=name,
        description=description,
        func=search,
        coroutine=asearch,
        args_schema=Query,
        response_format="content_and_artifact",
        handle_tool_error=True,  # the model is told what is wrong with its query, and may mend it
    )


def passages(documents: Sequence[Document]) -> str:
    """Numbered, each under what it is; the patient is named only where there are several."""
    several = len({document.metadata.get("patient_id") for document in documents}) > 1
    parts = [
        f"[{number}] {_heading(document, several)}\n{document.page_content}"
        for number, document in enumerate(documents, 1)
    ]
    return "\n\n".join(parts) or NOTHING


def _heading(document: Document, several: bool) -> str:
    known = document.metadata
    date = known.get("written_at")
    parts = [
        f"patient {known['patient_id']}" if several and known.get("patient_id") else None,
        known.get("note_type"),
        date[:10] if isinstance(date, str) else None,
        known.get("section"),
        f"note {known['note_id']}" if known.get("note_id") else None,
    ]
    return ", ".join(str(part) for part in parts if part)


def _check(query: str) -> None:
    try:
        check_words(query, "query")
    except BadArgument as problem:
        raise ToolException(str(problem)) from None
