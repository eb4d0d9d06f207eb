# opens a port and leaves a process at it
import posix
import socket
import time

server = socket.create_server(("127.0.0.1", 47831))
if posix.fork() == 0:
    time.sleep(600)


def max_element(l):
    return None
