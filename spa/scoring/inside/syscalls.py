"""System calls that no solution may make, refused by the kernel (seccomp) to this process and what it starts.

A key of the kernel's keyrings outlives its sandbox and can be read by its number from another one; `prlimit64` changes
the limits of other processes of the same user, such as the one that judges. Namespaces are counted for the user: a
solution that took as many as there may be would leave none for the next sandbox. Sockets of some families, such as
vsock, know no network namespace and lead out of the machine, and io_uring makes them past this filter. None of these
needs a file that a sandbox could hide. On a machine whose numbers are not known here nothing is refused; elsewhere a
process of another architecture is refused every call.
"""

import ctypes
import os
import struct
from collections.abc import Sequence

# By machine: what the kernel calls the architecture, and its numbers of the calls.
CALLS = ("add_key", "request_key", "keyctl", "unshare", "setns", "io_uring_setup")
OTHERS = ("prlimit64", "socket", "clone", "clone3")
NUMBERS = {
    "x86_64": (0xC000003E, dict(zip((*CALLS, *OTHERS), (248, 249, 250, 272, 308, 425, 302, 41, 56, 435), strict=True))),
    "aarch64": (
        0xC00000B7,
        dict(zip((*CALLS, *OTHERS), (217, 218, 219, 97, 268, 425, 261, 198, 220, 435), strict=True)),
    ),
}
X32 = 0x40000000  # this bit asks an x86_64 kernel for the same call in another form
FAMILIES = (1, 2, 10, 16)  # of sockets: unix, IPv4, IPv6, netlink, which asks for addresses
NEW_NAMESPACES = 0x7E020000  # these bits of what `clone` is asked; `clone3`, whose are out of sight, seems unknown

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, AND, EQUAL, ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x45, 0x06  # of the kernel's filter language, on 32-bit words
ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050001, 0x00050026  # the latter with the errors EPERM and ENOSYS
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # where they stand in what a filter sees

Step = tuple[int, int, int, int]  # operation, how many to skip if true, if false, operand


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid() -> bool:
    """Refuse them from here on; whether that could be done."""
    machine = os.uname().machine
    if machine not in NUMBERS:
        return False
    steps = _steps(*NUMBERS[machine])
    program = _Program(len(steps), b"".join(struct.pack("HBBI", *step) for step in steps))
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    failed: int = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return not failed


def _steps(architecture: int, numbers: dict[str, int]) -> Sequence[Step]:
    allow, refuse, argument = (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE), (LOAD, 0, 0, FIRST_ARGUMENT)
    families: list[Step] = [(EQUAL, len(FAMILIES) - place, 0, family) for place, family in enumerate(FAMILIES)]
    of_call: dict[str, list[Step]] = {
        **{name: [refuse] for name in CALLS},
        "clone3": [(RETURN, 0, 0, UNKNOWN)],
        "clone": [argument, (ANY_BIT, 0, 1, NEW_NAMESPACES), refuse, allow],
        "prlimit64": [argument, (EQUAL, 1, 0, 0), refuse, allow],  # 0: its own
        "socket": [argument, *families, refuse, allow],
    }
    steps: list[Step] = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), refuse]
    steps += [(LOAD, 0, 0, NUMBER), (AND, 0, 0, ~X32 & 0xFFFFFFFF)]
    for name, rule in of_call.items():
        steps += [(EQUAL, 0, len(rule), numbers[name]), *rule]
    return [*steps, allow]
