"""The processes a test began, told apart from those of the test server, which come and go beside it."""

from __future__ import annotations

import contextlib

import psutil


def children(module: str) -> list[psutil.Process]:
    """This process's descendants at work whose command line names ``module`` (a part of its name is enough).

    The PostgreSQL of the tests may be a child too: its workers begin and end when they like, so all children
    compared before and after would differ by chance.
    """
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # one that ended between the list and the look is not at work
            if any(module in word for word in process.cmdline()):
                found.append(process)
    return found
