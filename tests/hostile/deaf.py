# blocks and ignores every signal, and sleeps
import signal
import time

signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))


def max_element(l):
    time.sleep(3)
    return max(l)
