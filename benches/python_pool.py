#!/usr/bin/env python3
"""Python's Pool on a tenth of the work of the line `map-squares`, and on that of `imap-empty`: medians of so many runs.

    python3 benches/python_pool.py [RUNS]
"""

import sys
import time
from multiprocessing import Pool
from multiprocessing.dummy import Pool as Threads
from statistics import median


def square(n):
    return n * n


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for name, kind in ("Pool(2)", Pool), ("dummy.Pool(2)", Threads):
        with kind(2) as pool:
            lines = {
                "map of 1 M squares, ms": (1e3, lambda: pool.map(square, range(1_000_000))),
                "map of 10 k squares, ms": (1e3, lambda: pool.map(square, range(10_000))),
                "imap, us an item": (1e6 / 10_000, lambda: sum(pool.imap(square, range(10_000)))),
                "apply, us a call": (1e6 / 500, lambda: [pool.apply(square, (n,)) for n in range(500)]),
            }
            for line, (unit, work) in lines.items():
                timed(work)
                print(f"{name:15}{line:26}{median(timed(work) for _ in range(runs)) * unit:10.1f}")


if __name__ == "__main__":
    main()
