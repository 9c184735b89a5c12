"""What a page has to be: its elements closed in order, and nothing fetched from elsewhere."""

import re
from html.parser import HTMLParser

NAMES_OF_SVG = tuple(f"http{s}://{host}" for s in ("", "s") for host in
                     ("www.w3.org", "purl.org", "creativecommons.org", "matplotlib.org"))  # fmt: skip
VOID = {"meta", "link", "img", "br", "input"}


class Balance(HTMLParser):
    """Notes elements that are closed out of order, and everything that is fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.fetched, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [
            value
            for name, value in attrs
            if name in ("src", "href") and value[:1] != "#" and tag != "use" and (tag, name) != ("a", "href")
        ]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def assert_whole(text, named=()):
    """The `Balance` of a page that is well formed and offline; ``named``: addresses that it may lead to."""
    parser = Balance()
    parser.feed(text)
    assert parser.wrong == []
    assert parser.open == []
    assert all(address.startswith("data:") for address in parser.fetched)
    assert not [x for x in re.findall(r"https?://[^\"'< ]*", text) if not x.startswith((*NAMES_OF_SVG, *named))]
    return parser
