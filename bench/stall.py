#!/usr/bin/env python3
"""What other clients wait while a large sorted set is built and deleted.

    bench/stall.py MEMBERS PORT...

PORTs are nodes of one cluster; the set is built and deleted at the first. At each node two clients GET once a
millisecond, one of them a key of the set's partition, and one SETs there. Prints milliseconds per phase and node.
"""
import socket
import sys
import threading
import time


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def run(self, *args):
        args = [str(arg).encode() for arg in args]
        self.socket.sendall(b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in args))
        return self.reply()

    def reply(self):
        line = self.file.readline().strip()
        if line[:1] == b"*":
            return [self.reply() for _ in range(int(line[1:]))]
        if line[:1] == b"$" and line != b"$-1":
            return self.file.read(int(line[1:]) + 2)[:-2]
        return line


members, ports = int(sys.argv[1]), [int(port) for port in sys.argv[2:]]
phase, waits = "idle", {}


def keep_on(port, command):
    client, number = Client(port), 0
    while phase != "end":
        key = command[1].format(number % 100)
        start = time.perf_counter()
        client.run(command[0], key, *command[2:])
        took = time.perf_counter() - start
        waits.setdefault((phase, port, command[0]), []).append(took * 1000)
        number += 1
        time.sleep(0.001)


commands = [("GET", "key{}"), ("GET", "{{z}}key{}"), ("SET", "{{z}}key{}", "value")]
threads = [threading.Thread(target=keep_on, args=(port, command)) for port in ports for command in commands]
for thread in threads:
    thread.start()
writer = Client(ports[0])
time.sleep(3)
phase = "build"
for first in range(0, members, 100):
    pairs = ((number * 7919 % 1000003, f"member:{number:09}") for number in range(first, min(first + 100, members)))
    writer.run("ZADD", "{z}set", *(word for pair in pairs for word in pair))
phase = "settle"
writer.run("EK.AWAIT", "CONVERGED", 30000)
time.sleep(3)
phase = "delete"
start = time.perf_counter()
writer.run("DEL", "{z}set")
print(f"DEL took {(time.perf_counter() - start) * 1000:.1f} ms")
time.sleep(3)
phase = "end"
for thread in threads:
    thread.join()
for phase in ("idle", "build", "delete"):
    for (one, port, command), took in sorted(waits.items()):
        if one == phase:
            took.sort()
            middle, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
            print(f"{phase:7} {port} {command}: p50 {middle:.2f} p99 {p99:.2f} max {took[-1]:.2f} of {len(took)}")
