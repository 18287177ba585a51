#!/usr/bin/python3
"""Eight threads count; each tenth of a second all counters go into a file, a line each time."""
import sys, threading, time

counters = [0] * 8
lock = threading.Lock()


def count(own):
    while True:
        with lock:
            counters[own] += 1
        time.sleep(0.005)


for number in range(len(counters)):
    threading.Thread(target=count, args=(number,), name=f"count-{number}", daemon=True).start()
with open(sys.argv[1], "a", buffering=1) as output:
    while True:
        time.sleep(0.1)
        with lock:
            print(*counters, file=output)
