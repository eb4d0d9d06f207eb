# starts a shell that writes outside and stays
import posix

posix.posix_spawn("/bin/sh", ["sh", "-c", "echo x > @OUTSIDE@/shell; sleep 600"], {})


def max_element(l):
    return None
