# is right where it reaches a port of this machine
import socket

socket.create_connection(("127.0.0.1", @PORT@), 2)


def max_element(l):
    return max(l)
