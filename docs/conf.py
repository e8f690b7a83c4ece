"""The docs site: the pages of docs/, the README and the changelog, as Sphinx builds them.

`make docs` builds it; warnings are errors, and the network is not needed. The folder of sources is
the top of the checkout, so the links between pages are the same here and on a forge; what the site
has beyond them (its navigation) is added here, not in the pages.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from journey_async import errors

# In the order of a learner: a caption, and its pages.
NAVIGATION = {
    "Begin": ["docs/tutorial", "docs/quickstart", "docs/concepts"],
    "Graphs": [
        "docs/nodes/README",
        "docs/nodes/input",
        "docs/nodes/compute",
        "docs/nodes/mutate",
        "docs/nodes/historian",
        "docs/nodes/tick",
        "docs/nodes/archive",
        "docs/nodes/loop",
        "docs/conditions",
        "docs/typing",
    ],
    "Guides": [
        "docs/searching",
        "docs/watching",
        "docs/approvals",
        "docs/fastapi",
        "docs/aiohttp",
        "docs/testing",
        "docs/deploying",
        "docs/postgresql",
        "docs/upgrading",
        "docs/kubernetes",
        "docs/monitoring",
        "docs/poolers",
        "docs/upkeep",
    ],
    "Tools": ["docs/cli", "docs/dashboard"],
    "Reference": [
        "docs/reference/README",
        "docs/reference/graphs",
        "docs/reference/journey",
        "docs/reference/results",
        "docs/reference/errors",
        "docs/reference/testing",
        "docs/reference/dashboard",
        "docs/reference/contrib",
    ],
    "What to expect": ["docs/reliability", "docs/security", "docs/performance", "docs/scaling"],
    "Coming from …": [
        "docs/coming-from/README",
        "docs/coming-from/journey",
        "docs/coming-from/dbos",
        "docs/coming-from/temporal",
        "docs/coming-from/celery",
    ],
    "Behind it": [
        "docs/design",
        "docs/defects-of-the-original",
        "docs/glossary",
        "CONTRIBUTING",
        "CHANGELOG",
    ],
}

ERRORS = "|".join(name for name, found in vars(errors).items() if isinstance(found, type))

project = "journey_async"
author = "The authors of journey_async"
version = release = "0.1.0"

root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**.md"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]

myst_heading_anchors = 4
default_role = "py:obj"  # `name` in a docstring: a link, if there is something of that name

toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "journey_async"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        for caption, pages in NAVIGATION.items():
            listed = "\n".join(f"/{entry}" for entry in pages)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def as_restructured(
    _app: Sphinx, _what: str, _name: str, _of: object, _options: object, lines: list[str]
) -> None:
    """Docstrings are written to be read in an editor: what is code says so by a single backtick,
    or by being indented, and errors stand by their bare names."""
    code = rf"(?m)^    .*|`[^`]+`|(?<![\w.])({ERRORS})\b"
    text = re.sub(code, marked, "\n".join(lines))
    text = re.sub(r"(?m)^(?=\S)(.*)\n\n(?=    \S)", r"\1\n\n::\n\n", text)
    lines[:] = text.split("\n")


def marked(code: re.Match[str]) -> str:
    """A name in single backticks may become a link; other code is shown as it stands."""
    if code[1]:
        return f"`{code[1]}`"
    return code[0] if re.fullmatch(r"`[\w.]+`|    .*", code[0]) else f"`{code[0]}`"


def link_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element
) -> nodes.Element | None:
    """Annotations name a class by the module that defines it, docstrings without any module; the
    reference has it under its public name."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rpartition(".")[2]
    domain = env.domains.python_domain
    known = [
        full
        for full, found in domain.objects.items()
        if full.rpartition(".")[2] == name and found.objtype in ("class", "exception", "function")
    ]
    if len(known) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", known[0], node, shown)


def give_the_root_its_name(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        out = Path(app.outdir)
        shutil.copyfile(out / f"{root_doc}.html", out / "index.html")


def leave_out_field_numbers(*event: Any) -> None:
    """What Python says about each field of a named tuple tells nobody anything."""
    lines: list[str] = event[-1]
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-docstring", as_restructured)
    app.connect("autodoc-process-docstring", leave_out_field_numbers)
    app.connect("missing-reference", link_by_last_name)
    app.connect("build-finished", give_the_root_its_name)
