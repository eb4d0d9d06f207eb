"""In the place of `apptainer`, where it is not installed: understands the options that we use, and runs bubblewrap.

The image is this machine's system folders, so nothing else is seen but what was bound. It shows that our command lines
are whole, and that scoring works with what they show; not that apptainer understands them.
"""

import argparse
import csv
import json
import os
import sys
from pathlib import Path

SYSTEM = ("/usr", "/etc", "/bin", "/lib", "/lib64")


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--silent", action="store_true", required=True)
    parser.add_argument("verb", choices=["exec"])
    for flag in ("contain", "no-home", "pid", "ipc", "uts", "net", "no-privs"):
        parser.add_argument(f"--{flag}", action="store_true", required=True)
    for option, value in {"network": "none", "no-mount": "hostfs,bind-paths", "pwd": "/"}.items():
        parser.add_argument(f"--{option}", choices=[value], required=True)
    parser.add_argument("--mount", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("image", type=Path)
    parser.add_argument("argv", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    with Path(__file__).with_name("calls.jsonl").open("a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\n")
    if not options.image.is_file():
        sys.exit(f"FATAL: could not open image {options.image}")
    command = ["/usr/bin/bwrap", "--die-with-parent", "--cap-drop", "ALL", "--chdir", "/"]
    command += [f"--unshare-{name}" for name in ("user", "pid", "ipc", "uts", "net")]
    for path in map(Path, SYSTEM):
        command += (
            ["--symlink", str(path.readlink()), str(path)] if path.is_symlink() else ["--ro-bind", *[str(path)] * 2]
        )
    command += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/dev/shm"]
    for text in options.mount:
        ((kind, source, place, access),) = csv.reader([text])
        assert (kind, access) == ("type=bind", "ro")
        command += ["--ro-bind", source.removeprefix("src="), place.removeprefix("dst=")]
    for text in options.env:
        command += ["--setenv", *text.split("=", 1)]
    os.execv(command[0], [*command, *options.argv])


main()
