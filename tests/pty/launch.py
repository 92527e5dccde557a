"""Becomes a program at a terminal of its own: `launch.py SLAVE COLUMNS ROWS REDIRECTED NOHUP PROGRAM ARG…`.

A process of its own, since a fork of a test process with threads may deadlock. REDIRECTED lists file descriptors that stay
what they are.
"""

import fcntl
import os
import signal
import struct
import sys
import termios

slave, columns, rows, redirected, nohup, *command = sys.argv[1:]
terminal = os.open(slave, os.O_RDWR)  # the session's leader: it becomes the controlling terminal
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
for number in (0, 1, 2):
    if str(number) not in redirected:
        os.dup2(terminal, number)
if terminal > 2:
    os.close(terminal)
if nohup == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(command[0], command)
