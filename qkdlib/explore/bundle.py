"""The script and the style of an explorer as one piece each, from the files beside this one.

The scripts are ES modules that import from one another by name. An explorer in a page is a single
module: `script_for` joins the common ones with those of the panels in use, in the order in which
they need one another, and takes `import` and `export` away.
"""

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_IMPORT = re.compile(r"^import \{([^}]*)\} from \"[^\"]*\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) )(?:\w+ )+?(\w+)", re.MULTILINE)


def script_for(panels, trains=False):
    """What draws an explorer with these panels: the text of a module with a function `render`.

    Args:
        panels: Some `Panel`.
        trains: Whether the page itself trains; `page_script` has to stand before it.

    Raises:
        TypeError: A panel without kind or script.
        ValueError: Two kinds of one name, or a script that imports what `kit.js` does not export.
    """
    scripts = {}
    for panel in panels:
        kind, script = getattr(panel, "kind", None), getattr(panel, "script", None)
        if not isinstance(kind, str) or not isinstance(script, (str, Path)):
            raise TypeError(f"{type(panel).__name__} needs the class attributes kind and script")
        if scripts.setdefault(kind, script) != script:
            raise ValueError(f"two panels with different scripts call themselves {kind!r}")
    parts = [_common("kit.js"), _common("controls.js"), _trainer() if trains else _NO_TRAINER]
    parts.append(_common("live.js"))
    # A block each, so that the names of one panel's script are not another's.
    parts += [f"{{\n{_panel(kind, script)}\n}}" for kind, script in scripts.items()]
    text = "\n".join([*parts, _common("explorer.js")])
    if "</script" in text.lower():
        raise ValueError("a script must not hold </script, which would end it in a page")
    return text


_NO_TRAINER = "const pageTrainer = null;"


def _trainer():
    host = f"{_common('page/host.js')}\nreturn {{ pageTrainer }};"
    return f"const {{ pageTrainer }} = (() => {{\n{host}\n}})();"


@cache
def style():
    """The style sheet of all explorers."""
    return _compact((_FOLDER / "explorer.css").read_text(encoding="utf8"), r"/\*.*?\*/")


@cache
def _common(name):
    from qkdlib.explore.page.script import compact

    return compact(_joined((_FOLDER / name).read_text(encoding="utf8")))


@cache
def _panel(kind, script):
    if isinstance(script, Path) and script.is_relative_to(_FOLDER):
        return _common(script.relative_to(_FOLDER))
    text = script if isinstance(script, str) else script.read_text(encoding="utf8")
    known = set(_EXPORT.findall((_FOLDER / "kit.js").read_text(encoding="utf8")))
    for names in _IMPORT.findall(text):
        for name in filter(None, (name.strip() for name in names.split(","))):
            if name not in known:
                there = ", ".join(sorted(known))
                raise ValueError(f"the script of {kind!r} imports {name!r}; kit.js has {there}")
    return _compact(_joined(text), r"^ *//[^\n]*")


def _joined(text):
    return re.sub(r"^export (?!default)", "", _IMPORT.sub("", text), flags=re.MULTILINE)


def _compact(text, comment):
    """A source without its comments and indentation; no text in it may need either."""
    text = re.sub(comment, "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
