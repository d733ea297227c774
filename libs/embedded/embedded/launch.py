"""Becomes another program after tying its life to the supervisor's. Run as a script, on the standard library alone.

    python -I -S launch.py --parent PID --death-signal N [--uid N --gid N [--reach]] -- PROGRAM ARGUMENTS...

A script between fork and exec, not a `preexec_fn`: that one may deadlock where other threads run.
"""

import argparse
import ctypes
import os
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE = 0x20080522, 1


def main() -> None:
    options = _parse()
    if options.uid is not None:
        _become(options.uid, options.gid, options.reach)
    if sys.platform == "linux":
        # After the change of user, which clears it.
        _prctl(PR_SET_PDEATHSIG, options.death_signal)
        if os.getppid() != options.parent:
            sys.exit("launch: the supervisor is gone")
    try:
        os.execv(options.command[0], options.command)  # noqa: S606 - that is its purpose
    except OSError as error:
        sys.exit(f"launch: cannot start {options.command[0]}: {error.strerror}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--reach", action="store_true", help="keep the right to pass closed directories")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _become(uid: int, gid: int, reach: bool) -> None:
    try:
        if reach:
            _prctl(PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        if reach:
            _keep_only(CAP_DAC_OVERRIDE)
    except OSError as error:
        sys.exit(f"launch: cannot become user id {uid}: {error.strerror}")


def _keep_only(capability: int) -> None:
    """Reduces this process to one capability, which survives the exec that follows."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Effective, permitted and inheritable, for capabilities 0-31 and then 32-63.
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, first: int, second: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    if libc.prctl(option, *arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main()
