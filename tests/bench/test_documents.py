"""README.md and docs/ say what results/ says, and what they name is there."""

import html
import re
from pathlib import Path

import pandas as pd
import pytest

from spa.bench import documents
from spa.errors import SpaError

ROOT = documents.ROOT
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
by_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def test_the_documents_are_those_of_the_results() -> None:
    assert documents.stale() == [], "run: make documents"


def test_what_is_said_of_the_intervals() -> None:
    said, readme = (" ".join((ROOT / name).read_text().split()) for name in ("docs/results.md", "README.md"))
    tables = documents.REFERENCE.tables_folder
    tuned, optimum, anchors = (pd.read_csv(tables / f"{name}.csv") for name in ("tuned", "optimum", "anchors"))
    assert "no interval lies above 0, and none below" in said
    report = " ".join((documents.REFERENCE.folder / "report.html").read_text().split())
    (answer,) = re.findall(r"\*\*Does SPA help\?\*\* (.*?) \| Model", readme)
    assert answer in html.unescape(report), "README says what the report says"
    assert not (tuned["delta_low"] > 0).any()
    assert not (tuned["delta_high"] < 0).any()
    assert "the best reach from one end of [0, 0.5] to the other" in said
    optimum = optimum[optimum["method"] == "spa"]
    assert set(optimum[["kept_lo", "kept_hi"]].itertuples(index=False, name=None)) == {(0.0, 0.5)}
    assert "no anchor differs detectably from the description" in said
    assert ((anchors["less_low"] <= 0) & (anchors["less_high"] >= 0) | (anchors["anchor"] == "description")).all()
    methods, gains = pd.read_csv(tables / "methods.csv"), next(documents.REFERENCE.figures_folder.glob("methods_*.csv"))
    assert "no method gains on plain decoding, and none differs detectably from SPA" in said
    assert len(methods) == 2 * 6
    assert not (methods["delta_low"] > 0).any()
    assert ((methods["less_low"] <= 0) & (methods["less_high"] >= 0) | (methods["method"] == "spa")).all()
    assert (
        "Context-aware decoding at alpha = 1 loses nine points, and the package at strength 20 loses eighteen" in said
    )
    strongest = pd.read_csv(gains).query("method == 'spa_package' and omega_lo == 19")
    assert len(strongest) == 2
    assert (strongest["delta"].round(2) <= -0.18).all()
    assert (strongest["delta_high"] < 0).all()
    last = pd.read_csv(gains).query("method == 'cad' and omega_hi == 1").drop_duplicates("benchmark", keep="last")
    assert len(last) == 2
    assert (last["delta"].round(2) == -0.09).all()
    assert (last["delta_high"] < 0).all()
    assert "falls as the text grows, but not detectably faster than that of even attention" in said
    (dilution,) = (line for line in documents.REFERENCE.claims_path.read_text().splitlines() if "| C7 |" in line)
    assert dilution.endswith("| inconclusive |")
    assert documents.REFERENCE.attentions()[0].manifest().n_tasks == 40


def test_a_document_that_was_altered_or_lost_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    written = documents.render()
    for path, text in written.items():
        path.write_text(text)
    assert documents.stale() == []
    readme, *others = written
    readme.write_text(written[readme].replace("1", "2"))
    others[0].unlink()
    assert documents.stale() == [readme, others[0]]


def test_a_number_is_of_one_row() -> None:
    with pytest.raises(SpaError, match=r"there are \d\d+ rows of .*name one"):
        documents.pass_at_1(benchmark="humaneval")
    with pytest.raises(SpaError, match="there are 0 rows"):
        documents.pass_at_1(benchmark="none")


def test_a_template_may_name_only_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "TEMPLATES", tmp_path)
    (tmp_path / "README.md").write_text("{{ table('none') }}\n")
    with pytest.raises(SpaError, match=r"none\.md is not there, and the documents quote it"):
        documents.render()


@by_document
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text())
    lost = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert lost == []


@by_document
def test_every_command_exists(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    for script in re.findall(r"scripts/\w+\.py", text):
        assert (ROOT / script).exists(), script
    for experiment in re.findall(r"EXPERIMENT=(\w+)", text):
        assert (ROOT / "conf" / "experiment" / f"{experiment}.yaml").exists(), experiment


@by_document
def test_every_test_that_is_named_exists(path: Path) -> None:
    for file, _, name in re.findall(r"(tests/[\w/]+\.py)(::(\w+))?", path.read_text()):
        assert (ROOT / file).exists(), file
        assert f"def {name}(" in (ROOT / file).read_text() if name else True, f"{file}::{name}"


def test_the_readme_is_short() -> None:
    readme = (ROOT / "README.md").read_text()
    prose = re.sub(r"```.*?```|^    .*?$", "", readme, flags=re.DOTALL | re.MULTILINE)
    words = [word for word in prose.split() if re.search(r"\w", word)]
    assert 500 < len(words) <= 900
    assert readme.count("\n    make reproduce\n") == readme.count("\n    make test\n") == 1
    tables = [line for line in readme.splitlines() if line.startswith("|")]
    assert max(map(len, tables)) <= 140, "a table fits the page"


def test_every_method_and_mask_is_described() -> None:
    methods, keys = ((ROOT / name).read_text() for name in ("docs/methods.md", "docs/running.md"))
    presets = [path.stem for path in (ROOT / "conf" / "method").glob("*.yaml")]
    table = methods.split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(presets)
    for group in ("method", "mask"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"`{path.stem}`" in keys, path


def test_the_map_has_every_room() -> None:
    rooms = sorted(f"spa/{path.name}" for path in (ROOT / "spa").iterdir() if (path / "__init__.py").exists())
    chapter = (ROOT / "README.md").read_text().split("## Map of the folders")[1].split("##")[0]
    assert sorted(re.findall(r"^    (spa/\w+) ", chapter, re.MULTILINE)) == rooms
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    assert [room for room in rooms if f"\n**{room.removeprefix('spa/')}** " not in architecture] == []


def test_what_the_architecture_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:\w+/)*\w+\.(?:py|yaml))`", text)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / "spa" / name).exists()] == [
        name for name in named if "NAME" in name
    ]
