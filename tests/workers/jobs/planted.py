"""Repositories whose configuration names programs: every way that git has of starting one, with one planted in each."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SECRET: Final = "sk-planted-programs-look-for-this"
IDENTITY: Final = {"user.name": "A", "user.email": "a@example.org", "protocol.file.allow": "always"}


@dataclass(frozen=True)
class Ground:
    """A workspace with a repository, a home with a credential, and a place where a planted program tells of itself."""

    base: Path

    @property
    def home(self) -> Path:
        return self.base / "home"

    @property
    def workspace(self) -> Path:
        return self.base / "workspace"

    @property
    def marker(self) -> Path:
        return self.base / "outside" / "ran"

    @property
    def program(self) -> Path:
        return self.base / "workspace" / "program"

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        return git(*arguments, cwd=cwd or self.workspace)

    def configure(self, **settings: str) -> None:
        """Set what is named with `__` for each dot."""
        for key, value in settings.items():
            self.git("config", key.replace("__", "."), value)

    def attribute(self, line: str) -> None:
        with open(self.workspace / ".gitattributes", "a") as file:
            file.write(f"{line}\n")

    def harm(self) -> list[str]:
        """Return what a planted program has done."""
        stolen = [str(path) for path in self.base.rglob("STOLEN*")]
        return stolen + ([str(self.marker)] if self.marker.exists() else [])


def git(*arguments: str, cwd: Path) -> str:
    options = [part for key, value in IDENTITY.items() for part in ("-c", f"{key}={value}")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    done = subprocess.run(["git", *options, *arguments], cwd=cwd, env=environment, check=True, capture_output=True)
    return done.stdout.decode()


def prepare(base: Path) -> Ground:
    """Make a repository with a remote's branch, a changed file, a new one, an ignored one and a submodule."""
    ground = Ground(base)
    for directory in (ground.home, ground.workspace / "d", ground.marker.parent, base / "run"):
        directory.mkdir(parents=True, exist_ok=True)
    (ground.home / "auth.json").write_text(f'{{"OPENAI_API_KEY": "{SECRET}"}}')
    (ground.home / "config.toml").write_text(f'token = "{SECRET}"\n')
    (ground.workspace / ".gitignore").write_text("*.log\n/program\n/hooks\n")
    for name in ("changed", "same", "d/deep"):
        (ground.workspace / name).write_text("one\n")
    ground.git("init", "-q", "-b", "main", ".")
    _write_program(ground)
    inner = base / "inner"
    inner.mkdir()
    git("init", "-q", "-b", "main", ".", cwd=inner)
    (inner / "part").write_text("one\n")
    git("add", ".", cwd=inner)
    git("commit", "-qm", "first", cwd=inner)
    ground.git("submodule", "--quiet", "add", str(inner), "module")
    ground.git("add", ".")
    ground.git("commit", "-qm", "first")
    ground.git("update-ref", "refs/remotes/origin/main", "HEAD")
    ground.git("remote", "add", "origin", "/")
    (ground.workspace / "changed").write_text("two\n")
    (ground.workspace / "module" / "part").write_text("two\n")
    (ground.workspace / "new").write_text("new\n")
    (ground.workspace / "noise.log").write_text("ignored\n")
    for sample in base.rglob("hooks/*.sample"):  # to be copied for each test, and never run
        sample.unlink()
    return ground


def replant(template: Ground, base: Path) -> Ground:
    """Copy a ground, so that its program looks at the copy."""
    shutil.copytree(template.base, base, symlinks=True)
    ground = Ground(base)
    _write_program(ground)
    return ground


def _write_program(ground: Ground) -> None:
    """A program that does all that it can, and then what a filter does."""
    auth = ground.home / "auth.json"
    text = f"""#!/bin/sh
echo ran > '{ground.marker}'
cat '{auth}' > '{ground.workspace}/STOLEN'
cat '{auth}' > /tmp/STOLEN.$$ && mv /tmp/STOLEN.$$ '{ground.base}/STOLEN-by-tmp'
cat '{auth}' '{ground.home}/config.toml'
env
cat
exit 0
"""
    ground.program.write_text(text)
    ground.program.chmod(0o755)
    hooks = ground.workspace / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in HOOKS:
        shutil.copy(ground.program, hooks / name)


HOOKS: Final = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg"),
    *("commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "pre-receive", "update"),
    *("proc-receive", "post-receive", "post-update", "reference-transaction", "push-to-checkout", "pre-auto-gc"),
    *("post-rewrite", "sendemail-validate", "fsmonitor-watchman", "post-index-change"),
)

KEYS: Final = (
    *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "core.gitProxy"),
    *("core.alternateRefsCommand", "sequence.editor", "diff.external", "interactive.diffFilter"),
    *("diff.x.command", "diff.x.textconv", "filter.x.clean", "filter.x.smudge", "filter.x.process"),
    *("merge.x.driver", "mergetool.x.cmd", "mergetool.x.path", "difftool.x.cmd", "merge.tool", "diff.tool"),
    *("credential.helper", "credential.https://example.org.helper", "gpg.program", "gpg.openpgp.program"),
    *("gpg.ssh.program", "gpg.x509.program", "gpg.ssh.defaultKeyCommand", "uploadpack.packObjectsHook"),
    *("remote.origin.uploadpack", "remote.origin.receivepack", "remote.origin.vcs", "remote.origin.proxy"),
    *("pager.diff", "pager.ls-files", "pager.rev-parse", "pager.config", "browser.x.cmd", "web.browser", "man.x.cmd"),
    *("trailer.x.command", "trailer.x.cmd", "tar.x.command", "guitool.x.cmd", "imap.tunnel", "sendemail.smtpServer"),
    *("sendemail.toCmd", "sendemail.ccCmd", "instaweb.httpd", "receive.procReceiveRefs", "help.browser"),
)
"""Settings whose value is a program."""
COMMANDS: Final = ("diff", "ls-files", "rev-parse", "rev-list", "remote", "symbolic-ref", "for-each-ref", "config")


def _keys(names: Iterable[str]) -> Callable[[Ground], None]:
    def plant(ground: Ground) -> None:
        with open(ground.workspace / ".git" / "config", "a") as file:
            for name in names:
                section, _, rest = name.partition(".")
                within, _, key = rest.rpartition(".")
                title = f'{section} "{within}"' if within else section
                file.write(f"[{title}]\n\t{key} = {ground.program}\n")
        ground.attribute("* filter=x diff=x merge=x")

    return plant


def _aliases(ground: Ground) -> None:
    for name in COMMANDS:
        ground.git("config", f"alias.{name}", f"!{ground.program}")


def _required_filter(ground: Ground) -> None:
    ground.configure(filter__x__clean=str(ground.program), filter__x__required="true")
    ground.attribute("* filter=x")


def _hooks_path(ground: Ground) -> None:
    ground.configure(core__hooksPath=str(ground.workspace / "hooks"))


def _hooks(ground: Ground) -> None:
    shutil.copytree(ground.workspace / "hooks", ground.workspace / ".git" / "hooks", dirs_exist_ok=True)


def _settings_file(ground: Ground) -> Path:
    path = ground.workspace / "settings"
    path.write_text(f'[filter "x"]\n\tclean = {ground.program}\n[core]\n\tfsmonitor = {ground.program}\n')
    ground.attribute("* filter=x")
    return path


def _include(ground: Ground) -> None:
    ground.configure(include__path=str(_settings_file(ground)))


def _include_if(ground: Ground) -> None:
    ground.git("config", f"includeIf.gitdir:{ground.base}/**.path", str(_settings_file(ground)))


def _worktree_settings(ground: Ground) -> None:
    ground.configure(core__repositoryFormatVersion="1", extensions__worktreeConfig="true")
    shutil.copy(_settings_file(ground), ground.workspace / ".git" / "config.worktree")


def _linked_worktree(ground: Ground) -> None:
    """The workspace becomes a linked worktree of a repository beside it."""
    away = ground.base / "repository"
    os.rename(ground.workspace / ".git", away)
    (ground.workspace / ".git").write_text(f"gitdir: {away}\n")
    (ground.workspace / "module" / ".git").unlink()  # it points to where the repository was
    git("config", "core.worktree", str(ground.workspace), cwd=away)
    shutil.copy(_settings_file(ground), away / "more")
    git("config", "include.path", "more", cwd=away)


def _submodule(ground: Ground) -> None:
    module = ground.workspace / "module"
    for key in ("filter.x.clean", "core.fsmonitor", "diff.x.textconv", "diff.external"):
        git("config", key, str(ground.program), cwd=module)
    (module / ".gitattributes").write_text("* filter=x diff=x\n")
    ground.configure(diff__submodule="diff", submodule__recurse="true", submodule__module__update=f"!{ground.program}")


def _lazy_fetch(ground: Ground) -> None:
    """A partial clone that lacks an object, in a nested repository and in the workspace itself."""
    nested = ground.workspace / "nested"
    nested.mkdir()
    git("init", "-q", "-b", "main", ".", cwd=nested)
    (nested / "d").mkdir()
    for name in ("f", "d/g"):
        (nested / name).write_text(name)
    git("add", ".", cwd=nested)
    git("commit", "-qm", "x", cwd=nested)
    git("sparse-checkout", "init", "--cone", "--sparse-index", cwd=nested)
    git("sparse-checkout", "set", cwd=nested)
    git("status", cwd=nested)
    for place, missing in ((nested, "HEAD:d"), (ground.workspace, "HEAD:changed")):
        settings = {
            "core.repositoryFormatVersion": "1",
            "extensions.partialClone": "origin",
            "remote.origin.promisor": "true",
            "remote.origin.url": "/",
            "remote.origin.uploadpack": str(ground.program),
        }
        for key, value in settings.items():
            git("config", key, value, cwd=place)
        name = git("rev-parse", missing, cwd=place).strip()
        (place / ".git" / "objects" / name[:2] / name[2:]).unlink()


def _external_transport(ground: Ground) -> None:
    _lazy_fetch(ground)
    for place in (ground.workspace / "nested", ground.workspace):
        git("config", "remote.origin.url", f"ext::{ground.program}", cwd=place)
        git("config", "protocol.ext.allow", "always", cwd=place)
        git("config", "protocol.allow", "always", cwd=place)


def _attributes_elsewhere(ground: Ground) -> None:
    (ground.workspace / ".git" / "info" / "attributes").write_text("* filter=x\n")
    ground.configure(filter__x__process=str(ground.program), filter__x__required="true")


def _alternate(ground: Ground) -> None:
    alternates = ground.workspace / ".git" / "objects" / "info" / "alternates"
    alternates.write_text(f"{ground.base}/inner/.git/objects\n")
    ground.configure(core__alternateRefsCommand=str(ground.program))


def _bare(ground: Ground) -> None:
    """The files of a bare repository, as a clone can have them, in a directory and in the workspace."""
    bare = ground.workspace / "bare"
    git("init", "-q", "--bare", str(bare), cwd=ground.workspace)
    git("config", "core.bare", "false", cwd=bare)
    git("config", "core.worktree", str(ground.workspace), cwd=bare)
    git("config", "core.fsmonitor", str(ground.program), cwd=bare)


SHAPES: Final[dict[str, Callable[[Ground], None]]] = {
    "required filter": _required_filter,
    "hooks path": _hooks_path,
    "hooks": _hooks,
    "include": _include,
    "includeIf": _include_if,
    "worktree settings": _worktree_settings,
    "git file": _linked_worktree,
    "submodule": _submodule,
    "lazy fetch": _lazy_fetch,
    "external transport": _external_transport,
    "info/attributes": _attributes_elsewhere,
    "alternate": _alternate,
    "bare repository": _bare,
}
"""Ways that are more than one setting."""

ALONE: Final = ("filter.x.clean", "filter.x.process", "core.fsmonitor", "diff.external")
"""Settings of which one would keep another of the same section from being used."""
IN_USE: Final = ("core", "diff", "filter", "merge", "remote", "pager", "interactive", "uploadpack")
"""Sections that concern what a job asks git for. Settings of all others are planted together."""
SECTIONS: Final = {name: [key for key in KEYS if key.split(".")[0] == name and key not in ALONE] for name in IN_USE} | {
    "others": [key for key in KEYS if key.split(".")[0] not in IN_USE]
}
PLANTS: Final[dict[str, Callable[[Ground], None]]] = {
    **{key: _keys([key]) for key in ALONE},
    **{f"{section}.*": _keys(keys) for section, keys in SECTIONS.items()},
    "alias.*": _aliases,
    **SHAPES,
}
EFFECTIVE: Final = (
    *("filter.x.clean", "filter.x.process", "required filter", "include", "includeIf", "worktree settings", "git file"),
    "info/attributes",
)
"""Those whose program does run, whatever options and variables git is given: so the sandbox has to hold it."""
