# never ends, and ignores alarms and requests to end
import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)


def max_element(l):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        pass
