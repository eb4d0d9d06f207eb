# is right where it can make a socket that knows no network namespace, and so could leave the machine
import socket

socket.socket(40, socket.SOCK_STREAM)


def max_element(l):
    return max(l)
