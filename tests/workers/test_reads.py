"""Every place in the code of workers and settings that opens or lists files, and why it may do so by itself.

All others use `greenroom.config.reader.Reader`, which checks the opened file. For each new opening, decide here whether
a workspace, a client or a session can name the file.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = (
    "workers",
    "sessions",
    "config",
    "runtime/files/open_directory.py",
    "runtime/files/filelock.py",
    "runtime/process/identity.py",
    "supervisor/control",
    "supervisor/frontend/mcp",
    "supervisor/frontend/conversation_api",
    "supervisor/cli/status",
)

OPENING: Final = frozenset(
    {"open", "openat", "read_text", "read_bytes", "fdopen", "mmap", "sendfile", "copyfile", "copyfileobj", "FileIO"}
)
"""Names of functions and methods that open or read files."""
MENTION: Final = re.compile(rf"\b(?:{'|'.join(sorted(OPENING))})\b")
"""In a file without one there is nothing to look for."""
OURS: Final = frozenset({"reader", "_reader", "Reader"})

ALLOWED: Final[dict[str, dict[str, str]]] = {
    "config/document.py": {"open(path, 'rb')": "config.toml of the home, which the user names"},
    "config/home.py": {"open(path, 'rb')": ".env of the home, read for the broker and for nobody else"},
    "config/models.py": {"files('greenroom.config').joinpath('models.toml').read_text('utf-8')": "data of ours"},
    "config/texts.py": {"files('greenroom.config').joinpath('texts', name).read_text('utf-8')": "data of ours"},
    "config/secrets/secret_files.py": {"open(path, 'rb')": "looks for secrets in settings; what it reads goes nowhere"},
    "config/reader.py": {
        "os.open(path, _LOOK | (0 if follow else os.O_NOFOLLOW))": "the reader itself",
        "os.open(f'/proc/self/fd/{place}', flags)": "the reader itself: what was judged, by its number",
        "os.open(path, flags | os.O_NONBLOCK)": "the reader itself: compared with what was judged",
        "os.fdopen(self.descriptor(path), 'rb')": "the reader itself",
        "os.fdopen(self.descriptor(path, follow=False), 'rb')": "the reader itself",
        "self.open(path)": "the reader itself",
    },
    "workers/jobs/config_file.py": {
        "open(path, 'rb')": "config.toml of the home, to be written again; nobody is told what stands there",
        "open(descriptor, 'wb')": "a temporary file of its own making",
    },
    "sessions/names.py": {"os.open(path, flags, 384)": "appends to one file of the home, through no link"},
    "sessions/history_file.py": {
        "os.open(os.path.join(home, NAME), flags, 384)": "judged by the reader before anything is read or written",
        "open(descriptor, 'r+b', buffering=0)": "the same",
    },
    "runtime/files/open_directory.py": {
        "os.open('/', _FLAGS)": "directories, through no link",
        "os.open(name, _FLAGS, dir_fd=directory)": "directories, through no link",
    },
    "workers/files/operation.py": {
        "os.open(request['path'], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)": "a program that runs in the sandbox",
        "os.open(request['path'], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 438)": "the same",
        "os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)": "the same",
        "os.open(destination, flags, stat.S_IMODE(found.st_mode) & 511)": "the same",
        "open(descriptor, 'rb', buffering=0)": "the same",
        "open(descriptor, 'wb', buffering=0)": "the same",
        "open(reading, 'rb', buffering=0)": "the same",
        "open(writing, 'wb', buffering=0)": "the same",
    },
    "workers/tools/rule_file.py": {
        "os.open(os.path.join(folder, FILE), flags, 384)": "appends to a file of the home, which no command can write",
    },
    "workers/patch/snapshot.py": {
        "os.open(name, _READING, dir_fd=directory)": "through no link, and judged by the reader before it is read",
        "open(descriptor, 'rb', buffering=0)": "the same",
    },
    "workers/patch/transaction.py": {
        "os.open(self.name, flags, 438, dir_fd=self.directory)": "writes files of a patch, through no link",
        "new.open(_NEW)": "a new file beside the one that it replaces",
        "open(descriptor, 'wb')": "the same, for writing",
        "place.open(_EXISTING)": "a directory entry of which mode and owner are taken over",
    },
    "workers/warmup.py": {"open(os.path.join(stage, 'config.toml'), 'w', encoding='utf-8')": "a stage of our own"},
    "workers/sandbox/rules/features.py": {"open(reader, 'rb')": "a pipe of our own"},
    "workers/sandbox/system/processes.py": {
        "open(f'/proc/{pid}/stat', 'rb')": "the kernel's own words on our processes"
    },
    "workers/sandbox/rules/landlock.py": {
        "os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)": "no content is read"
    },
    "workers/sandbox/launcher.py": {
        "open(descriptor, 'wb', closefd=False)": "memory of our own",
        "os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)": "nothing",
    },
    "workers/sandbox/rules/mounts.py": {
        "os.open(path, os.O_WRONLY | os.O_CLOEXEC)": "maps of users in /proc/self, for writing",
        "os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC)": "an empty file in a view of our own",
    },
    "workers/sandbox/zygote.py": {"os.open(os.devnull, os.O_RDWR)": "nothing"},
    "sessions/storage/directory.py": {
        "os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)": "a directory of sessions, to be synced"
    },
    "sessions/storage/file.py": {
        "os.open(self._nameless(), flags, 384)": "a new file in the home, which must not be there (O_EXCL)",
        "open(self._descriptor, 'rb', closefd=False)": "the file that the reader has opened, to count its lines",
    },
    "sessions/fork.py": {
        "os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 384)": "the same",
        "os.fdopen(descriptor, 'wb')": "the same",
    },
    "sessions/storage/lock.py": {
        "open(f'/proc/{pid}/comm', encoding='utf-8', errors='replace')": "the kernel's own words on a process",
    },
    "runtime/files/filelock.py": {
        "os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 384)": "locks, through no link",
        "open('/proc/locks', encoding='ascii')": "the kernel's own words on locks",
    },
    "runtime/process/identity.py": {
        "open(f'/proc/{pid}/stat', encoding='ascii', errors='replace')": "the kernel's own words on our processes",
        "open('/proc/sys/kernel/random/boot_id', encoding='ascii')": "the kernel's own words on this boot",
    },
    "workers/sandbox/connections.py": {
        "os.open(start, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)": "no content is read",
        "os.open(path.lstrip(b'/') or b'.', os.O_PATH | os.O_CLOEXEC, dir_fd=directory)": "no content is read",
        "open(f'/proc/{task}/status', 'rb')": "the kernel's own words on a command",
        "open(f'/proc/{task}/mem', 'rb', buffering=0)": "an address that a command has given to a system call",
    },
    "sessions/storage/packed.py": {
        "os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 384)": "a new file beside the packed one",
        "os.fdopen(descriptor, 'rb')": "what the reader has judged",
        "os.fdopen(reader.descriptor(path, follow=False), 'rb')": "the same",
        "open(descriptor, 'wb')": "the new file",
    },
    "workers/jobs/file_listing.py": {
        "os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)": "an empty repository to be",
        "open(os.open(name, flags, 384, dir_fd=place), 'wb')": "files of that, new and through no link",
        "os.open(name, flags, 384, dir_fd=place)": "the same",
    },
    "workers/worktree/record.py": {
        "open(os.path.join(folder, _FILE), 'rb')": "a record in the home; checked against its place before it is used",
        "open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 384), 'wb')": "a new one of it",
        "os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 384)": "the same",
    },
    "workers/worktree/repository_git.py": {
        "os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)": "a ref",
    },
    "supervisor/frontend/mcp/state_key.py": {
        "os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 384)": "a key of the home",
        "os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)": "a key of the home, which no command can write",
        "open(descriptor, 'rb')": "the same",
        "open(descriptor, 'wb')": "the same, for writing",
    },
    "supervisor/frontend/mcp/calls/task_store.py": {
        "os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 384)": "tasks of a home",
        "os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)": "to flush the directory",
        "open(descriptor, 'wb')": "tasks of the home",
        "open(path, 'rb')": "tasks of the home, which no command can write",
    },
    "supervisor/control/instances.py": {
        "os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 384)": "our own directory",
        "open(descriptor, 'wb')": "the same",
        "open(os.path.join(directory, FACTS), 'rb')": "the runtime directory, which is its user's alone",
    },
    "supervisor/cli/status/session_export.py": {
        "os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 384)": "a new file, which the user names",
        "open(descriptor, 'w', encoding='utf-8')": "the same",
    },
}
"""File → opening, as it is written → why it needs no reader."""

NO_FILES: Final = frozenset(
    {
        "attempt.enter_async_context(self._transport.open())",
        "self._transport.open()",
        "self._conversations.open(params.overrides(), keep=True)",
        "self._conversations.open(self._overrides(arguments), title_of_prompt(arguments))",
        "read_text(bytes(members['refusal']), 'refusal')",
        "read_text(bytes(choice.text), 'text')",
        "conversation.open(overrides)",
        "conversation.open(encode({'cli': (), 'call': {'cwd': stage}}))",
        "context.open_commands.open(kept, command, starter)",
        "os.openpty()",
        "self._questions.open()",
        "files.enter_context(open(descriptor, 'wb'))",
    }
)
"""Calls of that name that open no file."""


def openings(path: Path) -> Iterator[str]:
    """Yield the calls in a file that open something and do not go through a reader."""
    source = path.read_text("utf-8")
    for node in ast.walk(ast.parse(source)) if MENTION.search(source) else ():
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in OPENING and not _is_of_a_reader(function) and (call := ast.unparse(node)) not in NO_FILES:
            yield call


def _is_of_a_reader(function: ast.expr) -> bool:
    """Tell whether the function is `reader.open`, `self._reader.open` or `Reader(...).open`."""
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value.func if isinstance(function.value, ast.Call) else function.value
    return (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")) in OURS


def test_every_opening_goes_through_the_reader_or_is_accounted_for() -> None:
    found = {
        str(path.relative_to(ROOT)): Counter(openings(path))
        for package in PACKAGES
        for path in ([ROOT / package] if package.endswith(".py") else sorted((ROOT / package).rglob("*.py")))
    }
    known = {file: set(calls) for file, calls in ALLOWED.items()}
    unknown = [f"{file}: {call}" for file, calls in found.items() for call in calls if call not in known.get(file, ())]
    assert unknown == [], "read it with greenroom.config.reader.Reader, or say in ALLOWED why not"
    stale = [f"{file}: {call}" for file, calls in ALLOWED.items() for call in calls if call not in found.get(file, {})]
    assert stale == [], "no longer there"


def test_the_search_for_openings_sees_them(tmp_path: Path) -> None:
    """Each manner of opening a file that the test above has to find."""
    source = tmp_path / "source.py"
    source.write_text(
        "open(p); os.open(p, 0); Path(p).read_text(); p.open(); io.open(p); p.read_bytes(); aiofiles.open(p)\n"
        "reader.open(p); self._reader.open(p); Reader(home).open(p)\n"
    )
    assert len(list(openings(source))) == 7
