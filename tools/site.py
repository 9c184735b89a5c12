"""`python -m tools.site FOLDER`: every link inside a built site leads somewhere, and no page fetches anything.

A link is an ``href`` or ``src`` without a scheme: the file must be there, and have the element that follows the ``#``.
Fetched is what a browser loads by itself: a ``src``, the ``href`` of a ``link``, an address in a style sheet.
"""

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

FETCHED = re.compile(r"(?:https?:)?//")
STYLED = re.compile(r"(?:@import\s+|url\()[\"']?(?:https?:)?//")


class Page(HTMLParser):
    """The ids and the links of a page, and `fetched`: addresses elsewhere that a browser loads to show the page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note what a tag has."""
        found = {name: value for name, value in attrs if value}
        self.ids.update(found[name] for name in ("id", "name") if name in found)
        self.links += [found[name] for name in ("href", "src") if name in found]
        loaded = found.get("src") or (found.get("href") if tag == "link" else None)
        if loaded and FETCHED.match(loaded):
            self.fetched.append(loaded)


def problems(folder):
    """Yield a line for each link that leads nowhere and each thing that is fetched, of a folder of pages."""
    parsed = cache(lambda path: Page(path.read_text(encoding="utf-8")))
    pages = sorted(folder.rglob("*.html"))
    if not pages:
        yield f"{folder}: no page"
    for path in pages:
        name = path.relative_to(folder)
        yield from (f"{name} fetches {address}" for address in parsed(path).fetched)
        for link in dict.fromkeys(parsed(path).links):
            address, fragment = urldefrag(link)
            if re.match(r"[a-z]+:|//", link):
                continue
            target = path if not address else (path.parent / unquote(address.partition("?")[0])).resolve()
            if not target.is_file():
                yield f"{name}: there is no {link}"
            elif fragment and target.suffix == ".html" and unquote(fragment) not in parsed(target).ids:
                yield f"{name}: {link} has no such place"
    for path in sorted(folder.rglob("*.css")):
        if STYLED.search(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(folder)} fetches something"


def main(folder):
    """Print the problems of a site; the exit code."""
    found = list(problems(Path(folder).resolve()))
    print(*found or [f"{folder}: every link leads somewhere, nothing is fetched"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
