"""What a server sends as JSON, to a reply."""

from typing import Any

from drehr_rag.protocols import Reply, TokenCounts


def reply_of(content: Any, model: str, *, chat: bool) -> Reply | None:
    """The first choice; None if it holds no text.

    Args:
        content: The server's JSON.
        chat: Whether it is of a chat; otherwise of a plain completion.
        model: Which one was asked, if the server does not say which one wrote.
    """
    try:
        choice = content["choices"][0]
        text = choice["message"]["content"] if chat else choice["text"]
        finish, wrote = choice.get("finish_reason"), content.get("model")
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    if not isinstance(text, str):
        return None
    finish = finish if isinstance(finish, str) else None
    wrote = wrote if isinstance(wrote, str) else model
    return Reply(whole_characters(text), finish, counted(content), wrote)


def counted(content: Any) -> TokenCounts | None:
    """The tokens it says it cost; None if it does not say, or says nonsense."""
    usage = content.get("usage") if isinstance(content, dict) else None
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(f"{name}_tokens") for name in TokenCounts._fields]
    whole = [n for n in counts if isinstance(n, int) and n >= 0]
    return TokenCounts(*whole) if len(whole) == len(counts) else None


def whole_characters(text: str) -> str:
    """The text without halves of surrogate pairs, which no file could hold."""
    return text.encode(errors="ignore").decode()
