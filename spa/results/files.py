"""Files that are whole or absent.

A JSONL line is whole or absent: every append is flushed to the disk, and a torn last line (the process was killed while
it wrote) is no line to a reader, and is dropped before the next append. Whole files are written aside and renamed.
A file of lines may lie compressed in its place, as FILE.gz, until the next append.
"""

import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
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
    with _opened(path) as file:
        for number, line in enumerate(_undamaged(path, file), 1):
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
    with _opened(path) as file:
        return sum(block.count(b"\n") for block in _undamaged(path, iter(lambda: file.read(1 << 20), b"")))


def append_lines(path: Path, records: Iterable[Record]) -> None:
    """Add lines and flush them to the disk."""
    content = _lines(records)
    if content:
        unpack(path)
        with one_line_failure(path), path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def replace_lines(path: Path, records: Iterable[Record]) -> None:
    """Write a file of lines anew, atomically."""
    write_atomically(path, _lines(records))
    _packed(path).unlink(missing_ok=True)


def pack(path: Path) -> None:
    """Compress a file of lines, if there is one; the same lines give the same bytes."""
    if path.exists():
        write_atomically(_packed(path), gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


def unpack(path: Path) -> None:
    """Undo `pack`, where it was done. Of two copies, after a kill, the one that is not compressed counts."""
    packed = _packed(path)
    if packed.exists():
        if not path.exists():
            with _opened(path) as file:
                content = b"".join(_undamaged(path, file))
            write_atomically(path, content)
        packed.unlink()


def _packed(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")


def _opened(path: Path) -> io.BufferedIOBase:
    """The file, or its packed copy, or else nothing. The file is tried again, for it may be unpacked meanwhile."""
    for found in (path, _packed(path), path):
        with suppress(FileNotFoundError):
            return found.open("rb") if found == path else gzip.open(found)
    return io.BytesIO()


def _undamaged(path: Path, blocks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from blocks
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SpaError(f"{_packed(path)} is damaged ({error}); restore it or remove it") from error


def _lines(records: Iterable[Record]) -> bytes:
    return "".join(record.to_json() + "\n" for record in records).encode("utf-8", "surrogatepass")


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
