"""Apptainer's command line, for clusters that forbid user namespaces and have it installed setuid.

In the container are the files of an image, and those that are bound; /tmp, /dev/shm and /dev are its own. The image is
read-only. It needs a C library that this Python runs with, and nothing else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

# Own namespaces of files, processes, shared memory and network, the last with a loopback alone; no rights in them, and
# nothing of what the administrator mounts into all containers. The environment is passed on: it is ours (`sandbox`).
OPTIONS = (
    *("--contain", "--no-home", "--no-mount", "hostfs,bind-paths", "--pwd", "/"),
    *("--pid", "--ipc", "--uts", "--net", "--network", "none", "--no-privs"),
)


def command(
    argv: Sequence[str], image: Path, shown: Mapping[Path, Path], variables: Mapping[str, str]
) -> tuple[str, ...]:
    """`argv` in a container. `shown`: where in it -> what of the machine is seen there, read-only; the inner one wins.

    `variables` are those that apptainer would set otherwise.
    """
    places = sorted(shown, key=lambda place: len(place.parts))
    binds = [f'type=bind,"src={shown[place]}","dst={place}",ro' for place in places]
    return (
        *("apptainer", "--silent", "exec", *OPTIONS),
        *(argument for bind in binds for argument in ("--mount", bind)),
        *(argument for name, value in variables.items() for argument in ("--env", f"{name}={value}")),
        *(str(image), *argv),
    )
