"""What manifests say of code and machine, and what they never say."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from spa.results import provenance
from spa.results.provenance import scrubbed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("model.path=https://me:pass@host/model", "model.path=https://***@host/model"),
        ("model.path=https://x-token@host/m limit=1", "model.path=https://***@host/m limit=1"),
        ("+hf_token=abc limit=1", "+hf_token=*** limit=1"),
        ("password=abc", "password=***"),
        ("a.api_key=abc b.apikey=d", "a.api_key=*** b.apikey=***"),
        ("use hf_abcdefghijklmnopqrstuvwx now", "use *** now"),
        ("ghp_abcdefghijklmnopqrst", "***"),
    ],
)
def test_what_gives_itself_away_is_scrubbed(text: str, shown: str) -> None:
    assert scrubbed({"a": [text, {"b": text}]}) == {"a": [shown, {"b": shown}]}


@pytest.mark.parametrize(
    "content",
    [
        "run.py mask.token=<pad> model.mask_token=<unk> model.eos_token_ids=[1] max_new_tokens=400",
        "https://host/a@b",
        "hf_hub",
        {"key": "8e01cbfd3419", "tokens_per_second": 12.5, "done": True, "none": None, "sha256": "0" * 64},
        "deepseek-ai/deepseek-coder-1.3b-instruct",
    ],
)
def test_what_is_no_secret_stays(content: Any) -> None:
    assert scrubbed(content) == content


@pytest.mark.parametrize("name", ["HF_TOKEN", "MY_SECRET", "OPENAI_API_KEY", "db_password", "HUGGING_FACE_HUB_TOKEN"])
def test_values_of_secret_variables_are_scrubbed_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "not/a/pattern.of-any+kind")
    assert scrubbed({"error": "got not/a/pattern.of-any+kind."}) == {"error": "got ***."}


def test_flags_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "falsehood")
    monkeypatch.setenv("USE_TOKEN", "true")
    assert scrubbed("true falsehood") == "true falsehood"


def test_gpus_as_nvidia_smi_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB, 570.86.15'\n")
    tool.chmod(0o755)
    expected = {"name": "NVIDIA H100 80GB HBM3", "memory.total": "81559 MiB", "driver_version": "570.86.15"}
    assert provenance.gpus() == [expected]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert provenance.gpus() == []


def test_the_environment_names_code_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/long/way/scripts/run.py", "mask.token='<pad>'"])
    found = provenance.environment()
    assert found["command"].startswith("run.py ")
    assert {"python", "torch", "transformers", "evalplus"} <= found["versions"].keys()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    expected = None if head.returncode else head.stdout.strip()
    assert (found["git"] and found["git"]["commit"]) == expected
    assert found["hardware"]["cpus"] >= 1


def test_a_repository_is_named_only_where_it_holds_the_code(tmp_path: Path) -> None:
    """An environment often lies in the checkout of another project."""
    code = tmp_path / ".venv" / "spa"
    code.mkdir(parents=True)
    (code / "module.py").write_text("")
    assert provenance.git_state(code) is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.check_output(["git", *identity, *arguments], cwd=tmp_path, text=True).strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "another project")
    assert provenance.git_state(code) is None
    git("add", ".")
    git("commit", "--quiet", "--message", "with the code")
    assert provenance.git_state(code) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (code / "module.py").write_text("changed = True\n")
    assert provenance.git_state(code) == {"commit": git("rev-parse", "HEAD"), "dirty": True}
