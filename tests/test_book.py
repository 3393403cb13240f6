"""The book's sources: chapters' form, contents, palette, and the cache that decides what runs."""

from __future__ import annotations

import copy
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import chapters  # noqa: E402
import contract  # noqa: E402
import staging  # noqa: E402

import book  # noqa: E402
from qkdlib import style  # noqa: E402

CHAPTERS = chapters.find()
CSS = (ROOT / "book" / "assets" / "css" / "book.css").read_text(encoding="utf8")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_chapter_keeps_the_contract(path):
    assert contract.problems(chapters.as_committed(path), chapters.kind(path)) == []


def test_contents_and_files_agree():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    pages = [toc["root"]]
    for entry in (entry for part in toc["parts"] for entry in part["chapters"]):
        pages += [entry["file"], *(section["file"] for section in entry.get("sections", []))]
    written = [
        p.relative_to(ROOT).with_suffix("").as_posix()
        for p in (ROOT / "book").rglob("*")
        if p.suffix in (".md", ".ipynb") and not any(part.startswith(".") for part in p.parts)
    ]
    assert sorted(pages) == sorted(written)
    notebooks = [f"book/{path.stem}" for path in CHAPTERS]
    assert [page for page in pages if page in notebooks] == notebooks, "files are named in reading order"


def test_every_chapter_has_a_card():
    cards = yaml.safe_load((ROOT / "tools" / "cards.yml").read_text(encoding="utf8"))
    assert {p.stem for p in CHAPTERS if chapters.is_core(p)} <= {card["file"] for card in cards}
    for card in cards:
        assert set(card) == {"file", "title", "text"}


def test_citations_are_in_the_bibliography():
    keys = set(re.findall(r"^@\w+\{(\S+),", (ROOT / "book/references.bib").read_text(), re.M))
    all_cited = set()
    for path in [*CHAPTERS, *(ROOT / "book").glob("*.md")]:
        text = path.read_text(encoding="utf8")
        cited = re.findall(r"\{(?:foot)?cite(?::\w+)?\}`([^`]+)`", text)
        found = {k.strip() for group in cited for k in group.split(",")}
        assert found <= keys, path.name
        all_cited |= found
    assert keys <= all_cited, "printed in the bibliography, and cited nowhere"


def page(*cells: dict) -> dict:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def test_words_and_lines_are_what_a_reader_sees():
    prose = """# Two words

:::{admonition} A box
:class: predict

$x$ is $1$: see {ref}`there`.
:::

$$ a + b $$ (eq-a)
"""
    answer = ":::{solution-start} ex\n:class: dropdown\n:::\n\nFolded words."
    cells = [
        cell("markdown", prose), cell("code", "# why\n\nx = 1"),
        cell("code", "y = 2", tags=["hide-input"]),
        cell("markdown", answer), cell("code", "z = 3"),
        cell("markdown", ":::{solution-end}\n:::\n\nOne more.\n\n## References\n\nnone"),
    ]  # fmt: skip
    # Two words, x is 1 see there, the equation, One more
    assert contract.measure(page(*cells)) == (10, 2)


def test_a_core_page_is_one_sitting():
    long = page(cell("markdown", "# Long\n\n" + "word " * 3000), cell("code", "x = 1\n" * 130))
    found = contract.problems(long, "core")
    assert "it has 3001 words of prose; a core page at most 2500" in found
    assert "it shows 130 lines of code; a core page at most 120" in found
    assert any(f.startswith("there is nothing to turn") for f in found)
    wide = contract.problems(page(cell("markdown", "# A?\n\nb"), cell("code", "x" * 77)), "below")
    assert "cell 2 shows a line of 77 characters; at most 76" in wide
    assert any(f.startswith("its second line says what it adds") for f in wide)


# ---- palette --------------------------------------------------------------------------------


def css_palette(theme: str) -> dict[str, str]:
    block = re.search(rf'html\[data-theme="{theme}"\] \{{(.*?)\}}', CSS, re.DOTALL).group(1)
    return dict(re.findall(r"--qkd-(\w+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    rgb = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def contrast(one: str, two: str) -> float:
    low, high = sorted([luminance(one), luminance(two)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "colours"), [("light", style.COLOURS), ("dark", style.COLOURS_DARK)])
def test_palette_is_one(theme, colours):
    assert css_palette(theme) == colours
    assert len(set(colours.values())) == len(colours), "a figure's colour must name one role"


@pytest.mark.parametrize("colours", [style.COLOURS, style.COLOURS_DARK], ids=["light", "dark"])
def test_palette_can_be_read(colours):
    for role in ("teacher", "student", "control", "ink", "muted"):
        for ground in ("paper", "raised"):
            assert contrast(colours[role], colours[ground]) >= 4.5, (role, ground)
    for role in style.CYCLE:
        assert contrast(colours[role], colours["paper"]) >= 3, role


# Viénot, Brettel and Mollon's simplification as fitted by Machado et al. (severity 1), linear RGB.
DEFICIENCIES = {
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("vision", DEFICIENCIES)
@pytest.mark.parametrize("colours", [style.COLOURS, style.COLOURS_DARK], ids=["light", "dark"])
def test_teacher_student_and_control_differ_for_every_eye(colours, vision):
    import numpy as np

    def seen(colour):
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        linear = np.clip(np.array(DEFICIENCIES[vision]) @ linear, 0, 1)
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        xyz = np.array(to_xyz) @ linear / [0.9505, 1, 1.089]
        x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    for a, b in itertools.combinations(("teacher", "student", "control"), 2):
        assert np.linalg.norm(seen(colours[a]) - seen(colours[b])) > 20, (a, b)  # CIE76


def test_use_style_applies_the_palette():
    import matplotlib as mpl

    with mpl.rc_context():
        style.use_style()
        cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
        assert cycle == [style.COLOURS[role] for role in style.CYCLE]
        assert mpl.rcParams["savefig.transparent"]
        assert {style.SEQUENTIAL, style.DIVERGING} <= set(mpl.colormaps)


def test_inlined_figures_take_the_pages_colours_and_ids_of_their_own():
    import bookpage

    svg = (
        '<?xml version="1.0"?><!-- made --><svg width="1"><defs><clipPath id="p1"/></defs>'
        '<path clip-path="url(#p1)" style="stroke: #1D5EA8"/><use xlink:href="#p1"/></svg>'
    )
    colours = bookpage.palette(ROOT / "qkdlib" / "style.py")
    text = bookpage.inline_svg(svg, 'a "curve" < 1', colours)
    assert "stroke: var(--qkd-teacher)" in text
    assert 'aria-label="a &quot;curve&quot; &lt; 1"' in text
    prefix = re.search(r'id="(\w+-)p1"', text).group(1)
    assert f"url(#{prefix}p1)" in text
    assert f'xlink:href="#{prefix}p1"' in text
    other = bookpage.inline_svg(svg.replace('width="1"', 'width="2"'), "b", colours)
    assert prefix not in other


# ---- what is executed again, and what is not ---------------------------------------------------


def cell(kind: str, source: str, **metadata) -> dict:
    made = {"cell_type": kind, "id": source[:8], "metadata": metadata, "source": source}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


@pytest.fixture
def small_book(tmp_path):
    """A repository with a library of one file and a chapter of two cells."""
    for folder in ("book/assets", "qkdlib/core", "_build"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "qkdlib/core/ansatz.py").write_text("LAYERS = 1\n")
    (tmp_path / "requirements.lock").write_text("numpy==2.0.2\n")
    (tmp_path / "book/helper.csv").write_text("1,2\n")
    (tmp_path / "book/index.md").write_text("# Title\n")
    (tmp_path / "book/assets/book.css").write_text("p {}\n")
    notebook = {
        "cells": [cell("markdown", "# One\n\nPromise."), cell("code", "print(1)")],
        "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    (tmp_path / "book/01-one.ipynb").write_text(json.dumps(notebook))
    return tmp_path


def key_of(root: Path) -> str:
    notebook = chapters.read(root / "book/01-one.ipynb")
    return chapters.key(notebook, chapters.shared_digest(root), root)


@pytest.mark.parametrize(
    "edited",
    ["qkdlib/core/ansatz.py", "qkdlib/new.py", "requirements.lock", "book/helper.csv"],
)
def test_key_follows_what_outputs_depend_on(small_book, edited):
    before = key_of(small_book)
    (small_book / edited).write_text("LAYERS = 2\n")
    assert key_of(small_book) != before


@pytest.mark.parametrize("edited", ["book/index.md", "book/assets/book.css"])
def test_key_ignores_what_outputs_do_not_depend_on(small_book, edited):
    before = key_of(small_book)
    (small_book / edited).write_text("changed\n")
    (small_book / "qkdlib/__pycache__").mkdir()
    (small_book / "qkdlib/__pycache__/ansatz.pyc").write_text("compiled")
    assert key_of(small_book) == before


def test_key_follows_code_and_not_prose(small_book):
    path = small_book / "book/01-one.ipynb"
    before, notebook = key_of(small_book), chapters.read(path)
    prose = copy.deepcopy(notebook)
    prose["cells"][0]["source"] = "# One\n\nA better promise."
    prose["cells"][1]["metadata"]["tags"] = ["hide-input"]
    path.write_text(json.dumps(prose))
    assert key_of(small_book) == before
    for change in ({"source": "print(2)"}, {"metadata": {"tags": ["raises-exception"]}}):
        code = copy.deepcopy(notebook)
        code["cells"][1] |= change
        path.write_text(json.dumps(code))
        assert key_of(small_book) != before


def test_key_follows_the_records_that_a_chapter_names_and_no_others(small_book):
    results, path = small_book / "experiments" / "results", small_book / "book/01-one.ipynb"
    results.mkdir(parents=True)
    notebook = chapters.read(path)
    notebook["cells"][1]["source"] = "open('../experiments/results/own.json')"
    path.write_text(json.dumps(notebook))
    (results / "own.json").write_text("1")
    before = key_of(small_book)
    (results / "other.json").write_text("1")
    (small_book / "experiments" / "run.py").write_text("1")
    assert key_of(small_book) == before
    (results / "own.json").write_text("2")
    assert key_of(small_book) != before
    notebook["cells"][1]["source"] = "import experiments.run"
    path.write_text(json.dumps(notebook))
    before = key_of(small_book)
    (small_book / "experiments" / "run.py").write_text("2")
    assert key_of(small_book) != before


def test_key_ignores_what_an_editor_writes_into_a_notebook(small_book):
    path = small_book / "book/01-one.ipynb"
    notebook = chapters.read(path)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook["metadata"] = {"kernelspec": kernel}
    path.write_text(json.dumps(notebook))
    before = key_of(small_book)
    saved = copy.deepcopy(notebook)
    saved["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    saved["metadata"]["language_info"] = {"name": "python", "version": "3.11.99"}
    saved["cells"][1] |= {"execution_count": 3, "outputs": [{"output_type": "stream", "text": "1"}]}
    saved["cells"][1]["source"] = ["print(1)"]
    path.write_text(json.dumps(saved))
    assert key_of(small_book) == before
    saved["metadata"]["kernelspec"]["name"] = "ir"
    path.write_text(json.dumps(saved))
    assert key_of(small_book) != before


def test_outputs_of_an_open_chapter_are_no_fault_where_git_drops_them(small_book, monkeypatch):
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")  # nobody else's filter
    path = small_book / "book/01-one.ipynb"
    notebook = chapters.read(path)
    notebook["cells"][1] |= {"execution_count": 3, "outputs": [{"output_type": "stream", "text": "1"}]}
    path.write_text(json.dumps(notebook))
    git = ["git", "-C", str(small_book)]
    subprocess.run([*git, "init", "-q"], check=True)
    found = contract.unstripped(chapters.as_committed(path, small_book))
    assert found[:1] == ["cell 2 has outputs; strip them (nbstripout --keep-id)"]
    subprocess.run([*git, "config", "filter.nbstripout.clean", "nbstripout"], check=True)
    assert contract.unstripped(chapters.as_committed(path, small_book)) == []


def test_result_counts_only_with_its_record(small_book):
    chapter, cache = small_book / "book/01-one.ipynb", chapters.Cache(small_book)
    shared = chapters.shared_digest(small_book)
    executed = small_book / "run.ipynb"
    executed.write_text(chapter.read_text())
    assert not cache.is_current(chapter, shared)
    cache.store(chapter, executed, {"key": chapters.key(chapters.read(chapter), shared, small_book)})
    assert cache.is_current(chapter, shared)
    (cache.folder / "01-one.json").write_text('{"key":')  # a write that was cut short
    assert not cache.is_current(chapter, shared)


def test_merging_keeps_the_new_prose_and_the_old_outputs(small_book):
    notebook = chapters.read(small_book / "book/01-one.ipynb")
    ran = copy.deepcopy(notebook)
    ran["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1\n"}]
    notebook["cells"][0]["source"] = "# One\n\nRewritten."
    merged = chapters.merged(notebook, ran)
    assert merged["cells"][0]["source"].endswith("Rewritten.")
    assert merged["cells"][1]["outputs"][0]["text"] == "1\n"
    ran["cells"].append(cell("code", "print(2)"))
    with pytest.raises(chapters.BookError, match="code cells"):
        chapters.merged(notebook, ran)


def test_a_failure_names_chapter_cell_and_error(small_book):
    chapter, executed = small_book / "book/01-one.ipynb", small_book / "run.ipynb"
    notebook = chapters.read(chapter)
    error = {"output_type": "error", "ename": "ValueError", "evalue": "n_qubits is 0"}
    notebook["cells"][1]["outputs"] = [error | {"traceback": ["\x1b[31mValueError\x1b[0m"]}]
    executed.write_text(json.dumps(notebook))
    said = chapters.failure(chapter, executed, "")
    assert said.startswith("01-one, cell 2 of 2: ValueError: n_qubits is 0")
    assert "\x1b" not in said
    full = chapters.failure(chapter, executed, "OSError: [Errno 28] No space left on device")
    assert full.count("\n") == 0


EXPLORER = """
from qkdlib.explore import *
def train(a, report):
    for step in range(3):
        report(Live((step + 1) / 3, {"s": ([step], [rate * a])}))
rate = 0.5
Explorer("Does it train?", Slider("a", [1, 2]), Curves(Curve("s", [0], [[1], [2]]), "x", "y"),
         record=Record(), trainer=train)
"""


@pytest.mark.slow
@pytest.mark.parametrize("later", ["rate = 2.0", "rate = {}"])
def test_a_chapter_whose_explorer_does_not_train_fails(small_book, later):
    path = small_book / "book/01-one.ipynb"
    notebook = chapters.read(path)
    notebook["cells"] = [cell("code", EXPLORER), cell("code", later)]
    path.write_text(json.dumps(notebook))
    (small_book / "qkdlib").rename(small_book / "library")  # ours, not the toy's
    shared = chapters.shared_digest(small_book)
    cache = chapters.Cache(small_book)
    if later == "rate = {}":
        wanted = "01-one, after its last cell: RuntimeError: the explorer 'Does it train\\?' at a=2"
        with pytest.raises(chapters.BookError, match=wanted) as caught:
            chapters.execute(path, shared, small_book)
        assert "unsupported operand" in str(caught.value)
        assert cache.record(path) is None
        return
    record = chapters.execute(path, shared, small_book)
    assert record["notes"] == []
    ran = chapters.read(cache.notebook(path))
    assert ["".join(c["source"]) for c in ran["cells"]] == [EXPLORER, later]  # the trial left no trace


def test_widgets_that_the_page_would_lose_are_found():
    view = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": ["IntSlider()"]}
    shown = {**view, "text/html": ["<p>x</p>"]}
    cells = [{"outputs": [{"data": shown}]}, {"outputs": [{"data": view}]}, {"source": ""}]
    (found,) = chapters.lost_widgets({"cells": cells})
    assert found.startswith("cell 2 shows a widget that the page cannot (IntSlider()); make it an")


@pytest.mark.parametrize(
    "text",
    ["WARNING:tensorflow:5 out of the last 5 calls", "a.py:3: UserWarning: careful\n  x = 1"],
)
def test_warnings_in_outputs_are_faults(text):
    shown = cell("code", "print(1)") | {
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "loss 0.1\n" + text}]
    }
    assert "cell 1 prints a warning" in chapters.noise({"cells": [shown]})[0]
    shown["metadata"] = {"tags": ["shows-warning"]}
    assert chapters.noise({"cells": [shown]}) == []


def test_paths_in_outputs_are_faults(tmp_path):
    data = {"text/html": f"<pre>{tmp_path}/book</pre>"}
    shown = cell("code", "x") | {"outputs": [{"output_type": "display_data", "data": data}]}
    found = chapters.noise({"cells": [shown]}, root=tmp_path)
    assert found == ["cell 1 prints a path of this machine"]
    plain = cell("code", "x") | {"outputs": [{"output_type": "stream", "text": "a warning sign"}]}
    assert chapters.noise({"cells": [plain]}, root=tmp_path) == []


# ---- the builder's words and addresses ------------------------------------------------------------


def test_no_repository_no_links(monkeypatch):
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    assert staging.repository() is None
    config = yaml.safe_load(staging.staged_config(None))
    assert not config["repository"]["url"]
    assert "binderhub_url" not in config["launch_buttons"]
    record = {"seconds": 12.34, "peak_mb": 1234, "machine": {"cores": 2}}
    line = staging.facts_line(Path("01-one.ipynb"), record, None)
    assert "12 s and 1.2 GB" in line
    assert "http" not in line


@pytest.mark.parametrize("url", ["https://github.com/a/b", "https://github.com/a/b.git/"])
def test_a_repository_gives_source_and_launch_links(monkeypatch, url):
    monkeypatch.setenv("BOOK_REPOSITORY_URL", url.removesuffix("/"))
    monkeypatch.setenv("BOOK_REPOSITORY_BRANCH", "trunk")
    home = staging.repository()
    config = yaml.safe_load(staging.staged_config(home))
    assert config["repository"]["url"] == "https://github.com/a/b"
    assert config["html"]["use_repository_button"]
    record = {"seconds": 1, "peak_mb": 1, "machine": {"cores": 2}}
    line = staging.facts_line(Path("01-one.ipynb"), record, home)
    assert "https://mybinder.org/v2/gh/a/b/trunk?urlpath=lab/tree/book/01-one.ipynb" in line
    assert "https://github.com/a/b/blob/trunk/book/01-one.ipynb" in line


def test_a_wrong_address_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "nowhere")
    with pytest.raises(chapters.BookError, match="BOOK_REPOSITORY_URL is 'nowhere'; allowed is"):
        staging.repository()


def test_an_unknown_chapter_is_one_line(capsys):
    assert book.main(["execute", "nonesuch"]) == 1
    assert "no chapter is called 'nonesuch'" in capsys.readouterr().out


def test_a_missing_package_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(book, "TOOLS", ("surely_not_installed",))
    assert book.main(["check"]) == 1
    said = capsys.readouterr().out.strip()
    assert said.startswith("book: this Python lacks surely_not_installed")
    assert "\n" not in said


def test_a_full_disk_is_one_line(monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(book, "check", full)
    assert book.main(["check"]) == 1
    said = capsys.readouterr().out.strip()
    assert said.startswith("book: no space left")
    assert "\n" not in said


def test_status_page_names_the_machine_by_its_parts():
    machine = {"cpu": "Some CPU", "cores": 2, "memory_gb": 8, "system": "Linux x86_64"}
    record = {
        "chapter": "01-one", "seconds": 12.3, "peak_mb": 700, "date": "2026-01-01T00:00:00+00:00",
        "machine": machine, "versions": {"python": "3.11.7"},
    }  # fmt: skip
    page = staging.status_page([record], {"01-one": contract.Measure(2100, 95)})
    assert "| **[](./01-one)** | 2100 | 95 | 12.3 | 700 | 2026-01-01 00:00 |" in page
    assert "Some CPU, 2 cores, 8 GB of memory, Linux x86_64" in page
    assert set(chapters.machine()) == set(machine), "nothing else about the machine is recorded"
