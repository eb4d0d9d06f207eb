"""The commands: arguments in, an exit code out. All else is the library's.

torch's threads wait for each other in busy loops, by default for milliseconds. Beside other work each loop lasts as
long as the scheduler gives its core to another process: decoding in two processes on two cores went at a quarter of the
speed and less. Threads that sleep at once (`OMP_WAIT_POLICY=passive`) lose a third of the speed where nothing else
runs, since to be woken takes longer than most of their work. So they wait for microseconds and then sleep, unless the
user says otherwise; jobs on a cluster inherit it. GNU's library reads the variable when torch is loaded.
"""

import os

SPINS = "2000"  # decoding alone was 2% slower than by default; two processes at once took 2.6 times as long as one

if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    os.environ["GOMP_SPINCOUNT"] = SPINS
