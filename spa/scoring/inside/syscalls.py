"""System calls that no solution may make, refused by the kernel (seccomp) to this process and what it starts.

A key of the kernel's keyrings outlives its sandbox and can be read by its number from another one; `prlimit64` changes
the limits of other processes of the same user, such as the one that judges. Both need no file that a sandbox could
hide. On a machine whose numbers are not known here nothing is refused; elsewhere a process of another architecture is
refused every call.
"""

import ctypes
import os
import struct

# By machine: what the kernel calls the architecture, and its numbers of add_key, request_key, keyctl and prlimit64.
NUMBERS = {"x86_64": (0xC000003E, (248, 249, 250), 302), "aarch64": (0xC00000B7, (217, 218, 219), 261)}
X32 = 0x40000000  # this bit asks an x86_64 kernel for the same call in another form

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, AND, EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06  # of the kernel's filter language, on 32-bit words
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # the latter with the error EPERM
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # where they stand in what a filter sees


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid() -> bool:
    """Refuse them from here on; whether that could be done."""
    machine = os.uname().machine
    if machine not in NUMBERS:
        return False
    instructions = _instructions(*NUMBERS[machine])
    program = _Program(len(instructions) // 8, instructions)
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    failed: int = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return not failed


def _instructions(architecture: int, keyrings: tuple[int, ...], prlimit: int) -> bytes:
    """Each: operation, how many to skip if true, if false, operand."""
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 0, 9, architecture),
        (LOAD, 0, 0, NUMBER),
        (AND, 0, 0, ~X32 & 0xFFFFFFFF),
        *((EQUAL, 6 - place, 0, number) for place, number in enumerate(keyrings)),
        (EQUAL, 0, 2, prlimit),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (EQUAL, 0, 1, 0),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
