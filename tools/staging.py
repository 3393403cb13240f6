"""The stage: the folder that Jupyter Book sees, made from the book's sources and its runs.

Sources stay as their authors wrote them. What depends on a run or on where the repository lives is
added here: outputs, the line under a chapter's title, the first page's cards, the table of run
times, and the links to the repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import chapters
from chapters import ROOT, BookError, Cache, shared_digest, write_atomically
from contract import Measure, measure

PAGES = (".md", ".bib")
ENGINE = re.compile(r"<script data-qkd-engine>.*?</script>\n", re.DOTALL)


def repository() -> dict | None:
    """Where the book's source lives, from the environment, or None.

    Raises:
        BookError: the variable is set to something that is no web address.
    """
    url = os.environ.get("BOOK_REPOSITORY_URL", "").strip().rstrip("/").removesuffix(".git")
    if not url:
        return None
    if not re.fullmatch(r"https?://[^/\s]+/[^/\s]+/[^\s]+", url):
        raise BookError(
            f"BOOK_REPOSITORY_URL is {url!r}; allowed is an address like https://host/owner/name"
        )
    branch = os.environ.get("BOOK_REPOSITORY_BRANCH", "").strip() or "main"
    binder = None
    for host, provider in (("github.com", "gh"), ("gitlab.com", "gl")):
        if re.match(rf"https?://{re.escape(host)}/", url):
            path = url.split(host + "/", 1)[1]
            path = path if provider == "gh" else path.replace("/", "%2F")
            binder = f"https://mybinder.org/v2/{provider}/{path}/{branch}?urlpath=lab/tree/"
    return {"url": url, "branch": branch, "binder": binder}


def staged_config(home: dict | None) -> str:
    """The text of `_config.yml`, with repository and launch buttons if there is a repository."""
    import yaml

    text = (ROOT / "_config.yml").read_text(encoding="utf8")
    if home is None:
        return text
    config = yaml.safe_load(text)
    config["repository"] = {"url": home["url"], "branch": home["branch"], "path_to_book": ""}
    config["html"] |= {"use_repository_button": True, "use_issues_button": True}
    config["sphinx"]["config"]["html_theme_options"]["use_source_button"] = True
    if home["binder"]:
        config["launch_buttons"]["binderhub_url"] = "https://mybinder.org"
    return yaml.safe_dump(config, sort_keys=False)


def staged_toc() -> tuple[str, list[str]]:
    """The text of `_toc.yml` without the pages that are not written yet, and their names."""
    import yaml

    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    left_out = []
    for part in toc["parts"]:
        for entries in (part["chapters"], *(e.get("sections", []) for e in part["chapters"])):
            for entry in list(entries):
                if not any((ROOT / (entry["file"] + end)).exists() for end in (".ipynb", ".md")):
                    left_out.append(entry["file"])
                    entries.remove(entry)
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    return yaml.safe_dump(toc, sort_keys=False), left_out


def _cores(machine: dict) -> str:
    return f"{machine['cores']} core" + "s" * (machine["cores"] != 1)


def facts_line(chapter: Path, record: dict, home: dict | None) -> str:
    """The line under a chapter's title: its run time as measured, and its launch links."""
    ran = f"{record['seconds']:.0f} s and {record['peak_mb'] / 1000:.1f} GB of memory"
    parts = [
        f"Runs in <strong>{ran}</strong> on {_cores(record['machine'])} "
        '(<a href="status.html">all run times</a>)',
        f'<a href="{chapter.name}" download>Download the notebook</a>',
    ]
    if home and home["binder"]:
        parts.append(f'<a href="{home["binder"]}book/{chapter.name}">Run it on Binder</a>')
    if home:
        address = f"{home['url']}/blob/{home['branch']}/book/{chapter.name}"
        parts.append(f'<a href="{address}">Source</a>')
    items = "".join(f"<li>{part}</li>" for part in parts)
    return f'<ul class="chapter-facts">{items}</ul>'


def first_page(home: dict | None = None) -> str:
    """The first page: how to start and to run it, the way through the book, the first training."""
    text = (ROOT / "book" / "index.md").read_text(encoding="utf8")
    text = text.replace("<!-- first training -->", _first_training())
    text = text.replace("<!-- run -->", _how_to_run(home))
    return text.replace("<!-- way -->", the_way())


def the_way() -> str:
    """The core pages as stations of a way, each with the questions of the pages below it (HTML)."""
    import yaml

    cards = yaml.safe_load((ROOT / "tools" / "cards.yml").read_text(encoding="utf8"))
    lines = ["```{raw} html", '<ol class="way">']
    for card in cards:
        core = ROOT / "book" / f"{card['file']}.ipynb"
        below = [page for page in chapters.find() if page.stem[:2] == core.stem[:2] and page != core]
        lines.append(f'<li><a class="station" href="{core.stem}.html">{card["title"]}</a>')
        lines.append(f'<p>{card["text"]}</p>')
        if below:
            links = [f'<li><a href="{page.stem}.html">{_title(page)}</a></li>' for page in below]
            lines += ["<details><summary>Further questions</summary><ul>", *links, "</ul></details>"]
        lines.append("</li>")
    return "\n".join([*lines, "</ol>", "```"])


def _title(page: Path) -> str:
    """A notebook's title, its formulas as plain text."""
    text = chapters.source_of(chapters.read(page)["cells"][0])
    return re.search(r"^# (.+)$", text, re.MULTILINE)[1].replace("$", "")


def _how_to_run(home: dict | None) -> str:
    """The commands that run the book, and Binder where the repository is public."""
    clone = ["git clone " + home["url"], "cd " + home["url"].rsplit("/", 1)[1]] if home else []
    opens = "make lab   # installs what it needs, opens JupyterLab on the chapters"
    lines = ["```sh", *clone, opens, "```"]
    if home and home["binder"]:
        binder = f"{home['binder']}book/01-encoding.ipynb"
        lines += ["", f"Or without installing anything: [on Binder]({binder})."]
    return "\n".join(lines)


def _first_training() -> str:
    """The explorer of the first page, computed once for a state of the library."""
    source = (ROOT / "tools" / "first_training.py").read_bytes()
    key = hashlib.sha256(source + shared_digest().encode()).hexdigest()[:16]
    kept = ROOT / "_build" / f"first-training-{key}.html"
    if not kept.exists():
        from first_training import explorer

        kept.parent.mkdir(exist_ok=True)
        write_atomically(kept, explorer().html)
    fence = "`" * 12
    return f"{fence}{{raw}} html\n{kept.read_text(encoding='utf8')}\n{fence}"


def status_page(records: list[dict], sizes: dict[str, Measure]) -> str:
    """The page that says how long every page is, what its run took, and on which machine.

    Args:
        records: see `chapters.execute`.
        sizes: words and lines of each page, by its name.
    """
    text = (ROOT / "book" / "status.md").read_text(encoding="utf8")
    if not records:
        return text.replace("<!-- chapters -->", "No chapter has been executed yet.")
    rows = ["| Page | Words | Lines of code | Seconds | Memory (MB) | Executed (UTC) |"]
    rows.append("|:--|--:|--:|--:|--:|:--|")
    for r in records:
        date = r["date"][:16].replace("T", " ")
        name = f"[](./{r['chapter']})"
        name = f"**{name}**" if chapters.is_core(Path(r["chapter"])) else name
        words, lines = sizes[r["chapter"]]
        rows.append(f"| {name} | {words} | {lines} | {r['seconds']:.1f} | {r['peak_mb']} | {date} |")
    words, lines = (sum(column) for column in zip(*sizes.values(), strict=True))
    total, peak = sum(r["seconds"] for r in records), max(r["peak_mb"] for r in records)
    rows.append(f"| All pages | {words} | {lines} | {total:.1f} | {peak} | |")
    seen = []
    for r in records:
        m = r["machine"]
        line = f"{m['cpu']}, {_cores(m)}, {m['memory_gb']} GB of memory, {m['system']}"
        if line not in seen:
            seen.append(line)
    used = [f"| {name} | {value} |" for name, value in records[-1]["versions"].items()]
    table = "\n".join(rows)
    machines = "\n".join(f"- {line}" for line in seen)
    packages = "\n".join(["| Package | Version |", "|:--|:--|", *used])
    body = f"{table}\n\n## Machine\n\n{machines}\n\n## Software\n\n{packages}"
    return text.replace("<!-- chapters -->", body)


def staged_notebook(chapter: Path, home: dict | None) -> str:
    """The executed chapter as a page: its outputs, and the line of facts after the first cell."""
    record = Cache().record(chapter)
    notebook = _run_of(chapter)
    line = {
        "cell_type": "markdown",
        "id": "chapter-facts",
        "metadata": {},
        "source": facts_line(chapter, record, home),
    }
    notebook["cells"].insert(1, line)
    share_engine(notebook)
    return json.dumps(notebook, indent=1)


def share_engine(notebook: dict) -> None:
    """Leaves the engine that trains in a page with the first explorer alone: the others find it."""
    outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    found = [out["data"] for out in outputs if "data-qkd-engine" in str(out.get("data", ""))]
    for data in found[1:]:
        data["text/html"] = ENGINE.sub("", "".join(data["text/html"]))


def _run_of(chapter: Path) -> dict:
    """The chapter's executed cells, with the tags that they have now."""
    ran = chapters.read(Cache().notebook(chapter))
    return chapters.merged(chapters.read(chapter), ran)


def write_if_changed(path: Path, content: bytes) -> None:
    """Leaves an equal file alone, so that Sphinx does not read it again."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    half.write_bytes(content)
    os.replace(half, path)


def stage(stage_dir: Path) -> list[str]:
    """Fills the stage and removes from it what is no longer part of the book.

    Returns:
        The pages that `_toc.yml` lists and nobody has written yet; they are left out.

    Raises:
        BookError: a chapter changed after it was executed, or its outputs are not for readers.
    """
    home, shared, cache = repository(), chapters.shared_digest(), Cache()
    stale = [c.stem for c in chapters.find() if not cache.is_current(c, shared)]
    if stale:
        raise BookError(f"not executed since they changed: {', '.join(stale)}; run `make book`")
    records = [cache.record(c) for c in chapters.find()]
    sizes = {c.stem: measure(chapters.read(c)) for c in chapters.find()}
    toc, left_out = staged_toc()
    files = {
        "_config.yml": staged_config(home).encode(),
        "_toc.yml": toc.encode(),
        "tools/bookpage.py": (ROOT / "tools" / "bookpage.py").read_bytes(),
    }
    for path in (ROOT / "book").rglob("*"):
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and (path.suffix in PAGES or name.startswith("book/assets/")):
            files[name] = path.read_bytes()
    files["book/index.md"] = first_page(home).encode()
    files["book/status.md"] = status_page(records, sizes).encode()
    for chapter in chapters.find():
        files[f"book/{chapter.name}"] = staged_notebook(chapter, home).encode()
    noisy = [f"{c.stem}, {n}" for c in chapters.find() for n in chapters.noise(_run_of(c))]
    if noisy:
        raise BookError("\n".join(["the chapters' outputs have faults:", *noisy]))
    for path in list(stage_dir.rglob("*")):
        if path.is_file() and path.relative_to(stage_dir).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        write_if_changed(stage_dir / name, content)
    return left_out
