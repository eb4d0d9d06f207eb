"""Files that are whole or absent.

A JSONL line is whole or absent: every append is flushed to the disk, and a torn last line (the process was killed while
it wrote) is no line to a reader, and is dropped before the next append. Whole files are written aside and renamed.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from spa.errors import SpaError
from spa.records import Record

R = TypeVar("R", bound=Record)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside `path`, flush to the disk, rename. The folder is made where it is missing."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with one_line_failure(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def read_lines(path: Path, parse: Callable[[bytes], R]) -> Iterator[R]:
    """The whole lines of a file, parsed; none where there is no file. Raises SpaError that names an invalid one."""
    try:
        opened = path.open("rb")
    except FileNotFoundError:
        return
    with opened as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # torn: the writer was killed, or is writing now
            try:
                yield parse(line)
            except (ValueError, TypeError) as error:
                raise SpaError(
                    f"{path}:{number} is not a valid line ({error}); remove that line and run again"
                ) from None


def count_lines(path: Path) -> int:
    """How many whole lines a file has; 0 where there is none."""
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


def append_lines(path: Path, records: Iterable[Record]) -> None:
    """Add lines and flush them to the disk."""
    content = "".join(record.to_json() + "\n" for record in records).encode("utf-8", "surrogatepass")
    if content:
        with one_line_failure(path), path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def drop_torn_line(path: Path) -> None:
    """End a file behind its last whole line."""
    if not path.exists():
        return
    with one_line_failure(path), path.open("rb+") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def write_object(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object, atomically."""
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty dict where there is no such file. Raises SpaError for anything else."""
    if not path.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise SpaError(f"{path} is not JSON ({error}); remove the run folder or restore it") from None
    return content


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """The folder's entries by name; none where there is no folder."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


@contextmanager
def one_line_failure(path: Path) -> Iterator[None]:
    """A full disk or a read-only folder is the user's to mend."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise SpaError(f"cannot write {path}: {reason}; make room there or take another folder") from error
