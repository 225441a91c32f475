"""Writes lines of all kinds."""

import random
import sys
import time

while True:
    time.sleep(random.random() * 0.8)
    number, chance = random.randrange(9000), random.random()
    until = time.monotonic() + chance * 0.08
    while time.monotonic() < until:
        pass
    if chance < 0.06:
        print(f"\x1b[31mERROR\x1b[0m order {number}: the card was refused", file=sys.stderr)
    elif chance < 0.14:
        print(f"\x1b[33mWARNING\x1b[0m order {number} waits for {random.randrange(40)} s")
    else:
        print(f"\x1b[32mINFO\x1b[0m order {number} has been shipped")
