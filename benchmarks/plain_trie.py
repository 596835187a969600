"""The matching algorithm of DR.EHR's authors, plainly: an object and a dictionary a node."""

from collections.abc import Iterable


class Node:
    """A node of a trie over characters."""

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.end = False


class PlainTrie:
    """Maximum forward matching: at each left boundary the longest term that ends at a right one.

    A term begins at the start, or behind a space or `(`, and ends where no word goes on. That the
    right side is any such place is read from the paper's examples; the code is not public here.
    """

    def __init__(self, terms: Iterable[str]) -> None:
        self.root = Node()
        for term in terms:
            node = self.root
            for character in term:
                if character not in node.children:
                    node.children[character] = Node()
                node = node.children[character]
            node.end = True

    def find(self, text: str) -> list[tuple[int, int]]:
        """Places of the matches in a text in lower case."""
        found, place, size = [], 0, len(text)
        while place < size:
            if place == 0 or text[place - 1] in " (":
                end = self._longest(text, place)
                if end:
                    found.append((place, end))
                    place = end
                    continue
            place += 1
        return found

    def _longest(self, text: str, start: int) -> int:
        node, best, size = self.root, 0, len(text)
        for place in range(start, size):
            following = node.children.get(text[place])
            if following is None:
                break
            node = following
            if node.end and not (
                place + 1 < size and text[place + 1].isalnum() and text[place].isalnum()
            ):
                best = place + 1
        return best
