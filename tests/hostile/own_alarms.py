# replaces the handlers of all signals, and sets alarms of its own
import signal


def ignore(*_):
    signal.setitimer(signal.ITIMER_REAL, 0.001)


for number in signal.valid_signals():
    try:
        signal.signal(number, ignore)
    except (OSError, ValueError):
        pass


def max_element(l):
    signal.signal(signal.SIGALRM, ignore)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    for _ in range(10**8):
        pass
