"""Who a server runs as. Postgres refuses to run as root, so under root it becomes `nobody`."""

import os
import pwd
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import StartError

_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Identity:
    """A user to become. `reach` keeps the right to pass directories that are closed to it, such as /root."""

    uid: int
    gid: int
    reach: bool

    def options(self) -> list[str]:
        """The options of `launch.py` that say so."""
        return ["--uid", str(self.uid), "--gid", str(self.gid), *(["--reach"] if self.reach else [])]

    def take_over(self, directory: Path) -> None:
        """Gives the directory itself to this user. Raises StartError where the file system does not allow it."""
        try:
            os.chown(directory, self.uid, self.gid)
        except OSError as error:
            raise StartError(
                f"cannot give {directory} to the user {_UNPRIVILEGED}, as which Postgres must run under root: "
                f"{error.strerror}. Run as a plain user, or set PLATFORM_DATA_DIR to a local disk."
            ) from error


def unprivileged(*needed: Path) -> Identity | None:
    """Whom to become to use the paths `needed`; None when this process is not root and stays who it is."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam(_UNPRIVILEGED)
    closed = not all(_is_open(directory) for path in needed for directory in path.resolve().parents)
    return Identity(user.pw_uid, user.pw_gid, reach=closed and sys.platform == "linux")


def _is_open(directory: Path) -> bool:
    return bool(directory.stat().st_mode & stat.S_IXOTH)
