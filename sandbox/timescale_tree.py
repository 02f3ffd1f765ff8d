"""PostgreSQL 17 with TimescaleDB from Debian's packages, unpacked beside the system and not installed.

The host's own apt resolves and downloads them with a package database of its own, which is empty: so
the whole closure comes, the C library included, and every program is started through that library. No
root, no chroot; signatures are checked against the host's Debian keyring. It is the Apache edition of
TimescaleDB, which is the one that Debian has.
"""

from __future__ import annotations

import fnmatch
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sandbox.account import Account
from sandbox.cache import cached, is_cached
from sandbox.readiness import Say
from schemas.errors import DependencyAway

SUITE = "trixie"
MAJOR = 17
NAME = f"timescaledb-pg{MAJOR}-{SUITE}-{platform.machine()}"
PACKAGES = (f"postgresql-{MAJOR}", f"postgresql-{MAJOR}-timescaledb")
#: program -> Debian's package of it
PROGRAMS = {"apt-get": "apt", "dpkg-deb": "dpkg", "tar": "tar"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ZONES = Path("/usr/share/zoneinfo/UTC")
MIRROR = "TAPEFLOW_DEBIAN_MIRROR"
BINARIES = Path("usr/lib/postgresql") / str(MAJOR) / "bin"
LIST = "packages.txt"
#: of the closure: what only scripts of packages, their Perl tools and the JIT compiler use
UNUSED = (
    "adduser", "base-files", "base-passwd", "ca-certificates", "cdebconf", "coreutils", "debconf", "dpkg",
    "gcc-*-base", "init-system-helpers", "krb5-locales", "libaudit-common", "libc-bin", "libc-l10n",
    "libdb5*", "libdebconfclient0", "libgdbm*", "libllvm*", "libncursesw6", "libpam-*", "libperl*",
    "*-perl", "libproc2*", "libsemanage*", "libsepol*", "libz3*", "locales*", "login*", "netbase",
    "openssl*", "passwd", "perl*", "postgresql-client-common", "postgresql-common*", "procps",
    "readline-common", "sensible-utils", "ssl-cert", "sysvinit-utils", "tar", "tzdata", "ucf",
)  # fmt: skip
#: files that no server reads
LEFT_OUT = ("./usr/share/man", "./usr/share/doc", "./usr/share/locale", "./usr/share/lintian",
            "*/bitcode", "*/llvmjit*", "*/gconv")  # fmt: skip
# the host's hooks delete its own cache of packages; lists are cleared in a file and nowhere else
CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::State "{0}"; Dir::State::lists "{0}/lists"; Dir::State::status "{0}/status";
Dir::Cache "{0}"; Dir::Cache::archives "{0}/archives"; Dir::Log "/dev/null";
Dir::Etc::sourcelist "{0}/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root"; APT::Install-Recommends "false"; APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
"""
# PostgreSQL finds its other folders from the name it is called by, so the tree may be moved
WRAPPER = """\
#!/bin/sh
here=$(dirname -- "$0")
root=$here/../../../../..
exec "$root/{loader}" --library-path "$root/{libraries}" --argv0 "$0" "$here/elf/{name}" "$@"
"""


def require(account: Account | None) -> None:
    """Check what TimescaleDB needs, without fetching anything.

    Raises:
        DependencyAway: naming what is to be installed.
    """
    if not ZONES.exists():
        raise DependencyAway("TimescaleDB needs the time zones of the system: install tzdata, or use Docker")
    if is_cached(NAME, account):
        return
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise DependencyAway(
                f"TimescaleDB is fetched as Debian's packages, and there is no {program}: "
                f"install {package}, or use Docker where that does not exist (macOS, other Linux)"
            )
    if not KEYRING.exists():
        raise DependencyAway(
            f"TimescaleDB is fetched as Debian's packages, and {KEYRING} is missing: "
            "install debian-archive-keyring"
        )


def timescale_tree(say: Say, account: Account | None) -> Path:
    """Return the root of the unpacked packages; fetch them if they are missing (40 MB, 101 MB unpacked).

    Raises:
        DependencyAway: something to fetch them with is missing, or they could not be fetched.
    """

    def fetch(folder: Path) -> None:
        require(account)
        say(f"fetching TimescaleDB from Debian {SUITE}, once")
        apt = _Apt(folder / "apt")
        apt.download()
        _unpack(apt.archives, folder)
        shutil.rmtree(apt.folder)
        _wrap(folder)

    return cached(NAME, fetch, say, account)


def version(root: Path) -> str:
    """Return the versions of a tree, as in ``2.19.3 (PostgreSQL 17.12)``."""
    found = {}
    for line in (root / LIST).read_text().splitlines():
        name, _, rest = line.partition("_")
        found[name] = rest.partition("+")[0].partition("-")[0]
    return f"{found[PACKAGES[1]]} (PostgreSQL {found[PACKAGES[0]]})"


class _Apt:
    """The host's apt with a state of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archives = folder / "archives"
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(_sources())
        (folder / "apt.conf").write_text(CONFIGURATION.format(folder))

    def download(self) -> None:
        self._get("update")
        plan = self._get("-s", "install", *PACKAGES)
        names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        wanted = [name for name in names if not any(fnmatch.fnmatch(name, p) for p in UNUSED)]
        self._get("download", *wanted)

    def _get(self, *arguments: str) -> str:
        command = ["apt-get", "-qq", "-c", str(self.folder / "apt.conf"), *arguments]
        return _run(command, self.archives, f"apt-get {arguments[0]} failed for Debian {SUITE}")


def _sources() -> str:
    """Return where to fetch from: the mirrors that this host's apt uses, or the one that is named."""
    named = os.environ.get(MIRROR)
    if named:
        return f"deb [signed-by={KEYRING}] {named} {SUITE} main\n"
    listed = _run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)/$(LABEL) $(REPO_URI)", "Created-By: Packages"],
        Path("/"),
        "apt-get cannot say which mirrors it uses",
    )
    mirrors: dict[str, str] = {}
    for line in listed.splitlines():
        label, _, address = line.partition(" ")
        mirrors.setdefault(label, address)
    if "Debian/Debian" not in mirrors:
        raise DependencyAway(
            "apt knows no Debian mirror: run apt-get update once, "
            f"or name a mirror in {MIRROR}, or use Docker"
        )
    lines = [f"deb [signed-by={KEYRING}] {mirrors['Debian/Debian']} {SUITE} main"]
    if "Debian/Debian-Security" in mirrors:
        lines.append(f"deb [signed-by={KEYRING}] {mirrors['Debian/Debian-Security']} {SUITE}-security main")
    return "\n".join(lines) + "\n"


def _unpack(archives: Path, root: Path) -> None:
    packages = sorted(archives.glob("*.deb"))
    target = ["tar", "-x", "-C", str(root), "--no-same-owner", "--keep-directory-symlink"]
    target += [f"--exclude={pattern}" for pattern in LEFT_OUT]
    for package in packages:
        source = ["dpkg-deb", "--fsys-tarfile", str(package)]
        with subprocess.Popen(source, stdout=subprocess.PIPE) as unpacking:
            done = subprocess.run(target, stdin=unpacking.stdout, check=False)
        if done.returncode or unpacking.returncode:
            raise DependencyAway(f"{package.name} could not be unpacked")
    (root / LIST).write_text("".join(f"{package.name}\n" for package in packages))


def _wrap(root: Path) -> None:
    """Put a script in the place of each program, which starts it through the packaged C library.

    Raises:
        DependencyAway: a library is missing in the tree.
    """
    loader = next(root.rglob("ld-linux*.so.*"), None)
    libraries = next((path for path in root.glob("usr/lib/*-linux-gnu*") if path.is_dir()), None)
    if loader is None or libraries is None:
        raise DependencyAway("the packages of TimescaleDB hold no C library")
    binaries = root / BINARIES
    (binaries / "elf").mkdir()
    for program in [path for path in binaries.iterdir() if path.is_file()]:
        with program.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        program.rename(binaries / "elf" / program.name)
        program.write_text(
            WRAPPER.format(
                loader=loader.relative_to(root), libraries=libraries.relative_to(root), name=program.name
            )
        )
        program.chmod(0o755)
    extensions = sorted((binaries.parent / "lib").glob("timescaledb*.so"))
    for needing in (binaries / "elf" / "postgres", binaries / "elf" / "initdb", *extensions):
        needs = _run(
            [str(loader), "--library-path", str(libraries), "--list", str(needing)],
            root,
            f"{needing.name} does not load",
        )
        if "not found" in needs:
            raise DependencyAway(f"the packages of TimescaleDB lack a library of {needing.name}")


def _run(command: Sequence[str], folder: Path, failed: str) -> str:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise DependencyAway(f"{failed}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout
