"""The one error a user can mend, and how every command shows it: one line, exit code 2."""

import sys
from collections.abc import Callable
from functools import wraps


class SpaError(Exception):
    """What was wrong, where, and what to do, in one line."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


def one_line_errors(main: Callable[[], None]) -> Callable[[], None]:
    """Wrap a command's entry point: a `SpaError` becomes one line on stderr and exit code 2."""

    @wraps(main)
    def wrapped() -> None:
        try:
            main()
        except SpaError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return wrapped
