"""The commands: arguments in, an exit code out. All else is the library's.

Beside other work torch's threads would wait for each other in busy loops, each as long as the scheduler gives its core
to another process: two runs on two cores took many times as long as one after the other. They sleep instead, unless the
user says otherwise; jobs on a cluster inherit it. The variable is read when torch is loaded, so it is set here.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
