# SPDX-License-Identifier: Apache-2.0
"""Read a page as strictly as a browser is lenient."""

import re
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Reads a page strictly: what it notes in `faults` a browser would silently mend, or should never meet."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "wbr", "rect"})
    BLOCK = frozenset({"p", "div", "ul", "ol", "dl", "table", "details", "pre", "section", "h1", "h2", "form"})

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.headings: list[int] = []
        self.feed(page)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.BLOCK and "p" in self.open:
            self.faults.append(f"<{tag}> inside <p>")
        if tag in self.BLOCK and "summary" in self.open:
            self.faults.append(f"<{tag}> inside <summary>")
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")
        if tag in {"td", "th"}:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def shape(page: str) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attrs)) for tag, attrs in Reader(page).tags]


def rows(page: str, table: str) -> list[str]:
    found = re.search(rf'<table class="{table}.*?</table>', page, re.DOTALL)
    assert found
    return [Reader(row).text for row in re.findall("<tr.*?</tr>", found[0], re.DOTALL)]
