"""What identifies a checkpoint's files: their content where they are local, the commit on the hub."""

import hashlib
import os
from pathlib import Path

from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever HTTP client the hub uses

from spa.errors import SpaError

HASHED_WHOLE = 256 * 2**20  # a local folder's larger files are known by name, size and their first and last MiB


def file_sha(path: Path) -> str:
    """SHA-256 of a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha(folder: Path) -> str:
    """SHA-256 of the names, sizes and content of the files in a folder, not of those in its subfolders."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            if size <= HASHED_WHOLE:
                digest.update(hashlib.file_digest(file, "sha256").digest())
            else:
                digest.update(file.read(2**20))
                file.seek(-(2**20), os.SEEK_END)
                digest.update(file.read())
    return digest.hexdigest()


def hub_commit(repository: str, revision: str) -> str:
    """The commit that a hub revision names, from the local cache where there is no network."""
    if len(revision) == 40 and all(letter in "0123456789abcdef" for letter in revision):
        return revision
    try:
        commit = HfApi().model_info(repository, revision=revision, timeout=10).sha
    except (HFValidationError, RepositoryNotFoundError):
        raise SpaError(
            f"model.path={repository} is neither a local file or folder nor a hub repository that you may read"
        ) from None
    except RevisionNotFoundError:
        raise SpaError(f"{repository} has no model.revision={revision}; name a branch, tag or commit") from None
    except (httpx.HTTPError, OSError):
        cached = try_to_load_from_cache(repository, "config.json", revision=revision)
        if not isinstance(cached, str):
            raise SpaError(
                f"model.path={repository} is not a local folder, not in the hub cache, and the hub cannot be reached; "
                "run spa fetch where there is a network, or set model.path to a local folder"
            ) from None
        commit = Path(cached).parent.name
    assert commit is not None
    return commit
