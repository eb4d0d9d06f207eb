# writes wherever it can
import io
import os

for folder in ("@OUTSIDE@", "/", "/usr/lib", "/var/tmp", os.path.expanduser("~"), "/run", "/etc"):
    try:
        io.open(folder + "/spa-hostile", "w").write("x")
    except OSError:
        pass


def max_element(l):
    return None
