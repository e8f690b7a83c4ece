"""Every page has its place in the site's navigation; `make docs` would refuse it otherwise."""

import ast

from tests.docs.pages import PAGES, ROOT, name_of

CONF = ast.parse((ROOT / "docs" / "conf.py").read_text(encoding="utf-8"))


def navigation() -> list[str]:
    for item in CONF.body:
        match item:
            case ast.Assign(targets=[ast.Name(id="NAVIGATION")], value=value):
                return [page for pages in ast.literal_eval(value).values() for page in pages]
    raise AssertionError("docs/conf.py has no NAVIGATION")


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    listed = [f"{page}.md" for page in navigation()]
    assert sorted(listed) == sorted([*map(name_of, PAGES), "CHANGELOG.md", "CONTRIBUTING.md"])
