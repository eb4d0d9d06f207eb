"""The one error a user can mend, and how every command ends: with one line and exit code 2, or 130 after Ctrl-C."""

import sys
from collections.abc import Callable, Sequence
from functools import wraps


class SpaError(Exception):
    """What was wrong, where, and what to do, in one line."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class CellsFailedError(SpaError):
    """Cells of a sweep failed in other processes."""

    def __init__(self, errors: Sequence[str], n_cells: int) -> None:
        super().__init__(f"{len(errors)} of {n_cells} cells failed: {'; '.join(dict.fromkeys(errors))}")
        self.errors = list(errors)


def one_line_errors(main: Callable[[], None]) -> Callable[[], None]:
    """Wrap a command's entry point: a `SpaError` and Ctrl-C become one line on stderr."""

    @wraps(main)
    def wrapped() -> None:
        try:
            main()
        except SpaError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("\ninterrupted; what is finished is kept: run the same command again to go on", file=sys.stderr)
            sys.exit(130)

    return wrapped
