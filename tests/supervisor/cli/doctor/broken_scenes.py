"""Ways in which surroundings are broken, and what is to be found of each."""

import json
import os
import resource
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from greenroom.protocol.instance import Instance
from greenroom.runtime.process import identity
from greenroom.supervisor.cli.doctor.finding import FindingStatus
from greenroom.supervisor.control import instances
from greenroom.supervisor.startup.host_lock import HostLock
from greenroom.workers.sandbox.rules.features import KernelFeatures
from tests.supervisor.cli.doctor.listing_server import listing_server
from tests.supervisor.cli.doctor.scene import SECRETS, Scene, file_system

FAULTY = str(Path(__file__).parents[3] / "workers" / "mcp" / "faulty.py")


@dataclass(frozen=True)
class Stagehand:
    """What a scene needs besides files, and is put away at the end."""

    stack: ExitStack
    patch: pytest.MonkeyPatch


Prepare = Callable[[Scene, Stagehand], object]


@dataclass(frozen=True)
class Broken:
    """One broken scene, and the finding that it is to have."""

    prepare: Prepare
    check: str
    status: FindingStatus
    says: str
    """A part of the summary."""
    advises: str
    """A part of the remediation."""


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


# Configuration


def syntax(scene: Scene, _: Stagehand) -> None:
    scene.write("config.toml", 'model = "x"\nmodel_provider = \n')


def not_utf8(scene: Scene, _: Stagehand) -> None:
    scene.write("config.toml", b'model = "\xff"\n')


def wrong_value(scene: Scene, _: Stagehand) -> None:
    scene.configure(top='sandbox_mode = "everything"')


def unknown_key_of_ours(scene: Scene, _: Stagehand) -> None:
    scene.configure(tables='[greenroom]\nengin = "fork"')


def dispensable_value(scene: Scene, _: Stagehand) -> None:
    scene.configure(top="model_verbosity = 7")


def misspelt_key(scene: Scene, _: Stagehand) -> None:
    scene.configure(top='approval_polcy = "never"')


def misspelt_key_below(scene: Scene, _: Stagehand) -> None:
    scene.configure(more="request_max_retrys = 2")


def no_such_profile(scene: Scene, _: Stagehand) -> None:
    scene.configure(top='profile = "fast"')


def unreadable_override(scene: Scene, _: Stagehand) -> None:
    scene.overrides = ("nonsense",)


def no_such_provider(scene: Scene, _: Stagehand) -> None:
    scene.overrides = ("model_provider=elsewhere",)


def missing_instructions(scene: Scene, _: Stagehand) -> None:
    scene.configure(top='model_instructions_file = "/nowhere/at/all"')


def dotenv_is_a_directory(scene: Scene, _: Stagehand) -> None:
    (scene.home / ".env").mkdir()


def bad_rules(scene: Scene, _: Stagehand) -> None:
    (scene.home / "rules").mkdir()
    (scene.home / "rules" / "mine.rules").write_text("this is no rule (")


# Login


def no_login(scene: Scene, _: Stagehand) -> None:
    scene.use_login()


def expired(scene: Scene, _: Stagehand) -> None:
    scene.use_login()
    scene.log_in(lasts=-7200.0)


def expired_for_good(scene: Scene, _: Stagehand) -> None:
    scene.use_login()
    scene.log_in(lasts=-7200.0, refresh="")


def store_is_no_json(scene: Scene, _: Stagehand) -> None:
    scene.use_login()
    scene.write("auth.json", '{"OPENAI_API_KEY": "' + SECRETS["stored"])


def store_has_another_shape(scene: Scene, _: Stagehand) -> None:
    scene.use_login()
    scene.write("auth.json", json.dumps({"OPENAI_API_KEY": [SECRETS["stored"]]}))


def login_that_is_forbidden(scene: Scene, _: Stagehand) -> None:
    scene.use_login(top='forced_login_method = "chatgpt"')
    scene.write("auth.json", json.dumps({"OPENAI_API_KEY": SECRETS["stored"]}))


def keyring_that_fails(scene: Scene, hand: Stagehand) -> None:
    scene.use_login(top='cli_auth_credentials_store = "keyring"')
    scene.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"


# Providers


def provider_down(scene: Scene, _: Stagehand) -> None:
    scene.configure(url=f"http://127.0.0.1:{closed_port()}/v1")


def provider_silent(scene: Scene, _: Stagehand) -> None:
    scene.configure("silent")
    scene.patience = replace(scene.patience, provider=0.3)


def provider_failing(scene: Scene, _: Stagehand) -> None:
    scene.configure("503")


def other_provider_down(scene: Scene, _: Stagehand) -> None:
    scene.configure(tables=f'[model_providers.spare]\nbase_url = "http://127.0.0.1:{closed_port()}/v1"')


def local_server_missing(scene: Scene, _: Stagehand) -> None:
    scene.environment["CODEX_OSS_PORT"] = str(closed_port())
    scene.overrides = ("model_provider=oss",)


def key_rejected(scene: Scene, _: Stagehand) -> None:
    scene.configure("echo")


def key_without_rights(scene: Scene, _: Stagehand) -> None:
    scene.configure("403")


def login_rejected(scene: Scene, _: Stagehand) -> None:
    scene.use_login("401")
    scene.log_in()


def key_missing(scene: Scene, _: Stagehand) -> None:
    del scene.environment["SCENE_KEY"]


def token_program_fails(scene: Scene, _: Stagehand) -> None:
    args = json.dumps(["-c", f"echo {SECRETS['command']} >&2; exit 3"])
    scene.write(
        "config.toml",
        f'model = "scripted"\nmodel_provider = "p"\n[model_providers.p]\nbase_url = "{scene.server.url("ok")}"\n'
        f'[model_providers.p.auth]\ncommand = "/bin/sh"\nargs = {args}\n',
    )


def token_program_hangs(scene: Scene, _: Stagehand) -> None:
    scene.patience = replace(scene.patience, provider=0.3)
    scene.write(
        "config.toml",
        f'model = "scripted"\nmodel_provider = "p"\n[model_providers.p]\nbase_url = "{scene.server.url("ok")}"\n'
        '[model_providers.p.auth]\ncommand = "/bin/sh"\nargs = ["-c", "sleep 30"]\n',
    )


def wrong_model(scene: Scene, _: Stagehand) -> None:
    scene.configure(model="scriptd")


def untrusted_certificate(scene: Scene, hand: Stagehand) -> None:
    server = hand.stack.enter_context(listing_server(tls=True))
    scene.configure(url=server.url("ok", "https"))


def clock_behind(scene: Scene, _: Stagehand) -> None:
    scene.configure("ahead")


def clock_ahead(scene: Scene, _: Stagehand) -> None:
    scene.configure("behind")


def clock_far_off(scene: Scene, _: Stagehand) -> None:
    scene.configure("far")


# Network


def dead_proxy(scene: Scene, _: Stagehand) -> None:
    scene.environment["HTTPS_PROXY"] = f"http://user:{SECRETS['password']}@127.0.0.1:{closed_port()}"


def dead_proxy_on_the_way(scene: Scene, _: Stagehand) -> None:
    scene.environment["http_proxy"] = f"http://user:{SECRETS['password']}@127.0.0.1:{closed_port()}"


def proxy_of_another_kind(scene: Scene, _: Stagehand) -> None:
    scene.environment["ALL_PROXY"] = "socks5://127.0.0.1:1080"


def proxy_without_scheme(scene: Scene, _: Stagehand) -> None:
    scene.environment["HTTPS_PROXY"] = "proxy.example"


def proxy_that_refuses(scene: Scene, _: Stagehand) -> None:
    host = f"127.0.0.1:{scene.server.server_address[1]}"
    scene.environment["http_proxy"] = f"http://user:{SECRETS['password']}@{host}"
    scene.configure(url="http://models.invalid/proxy")


def bundle_missing(scene: Scene, _: Stagehand) -> None:
    scene.environment["SSL_CERT_FILE"] = "/nowhere/ca.pem"


def bundle_without_certificates(scene: Scene, _: Stagehand) -> None:
    scene.environment["SSL_CERT_FILE"] = str(scene.write("ca.pem", "no certificate"))


def bundle_of_others(scene: Scene, _: Stagehand) -> None:
    del scene.environment["SSL_CERT_FILE"]
    scene.environment["REQUESTS_CA_BUNDLE"] = "/etc/corporate.pem"


# Sandbox


def features(**changes: object) -> Prepare:
    usual = {"landlock_abi": 6, "seccomp": True, "architecture": "x86_64", "namespaces_refused": None}

    def prepare(scene: Scene, _: Stagehand) -> None:
        found = KernelFeatures(**{**usual, **changes})  # type: ignore[arg-type]
        scene.machine = replace(scene.machine, features=lambda: found)

    return prepare


def no_landlock_and_no_sandbox(scene: Scene, hand: Stagehand) -> None:
    features(landlock_abi=0)(scene, hand)
    scene.configure(top='sandbox_mode = "danger-full-access"')


def no_confined_command(scene: Scene, _: Stagehand) -> None:
    """As `Scene` is: nothing can be started."""


# Limits


def limited(number: int, soft: int) -> Prepare:
    return lambda scene, _: scene.limit(number, soft)


def few_tasks_in_the_group(scene: Scene, _: Stagehand) -> None:
    scene.control_group(pids_max="100")


def little_memory(scene: Scene, _: Stagehand) -> None:
    scene.proc({"meminfo": "MemTotal: 1000000 kB\nMemAvailable: 60000 kB\n"})


def little_memory_in_the_group(scene: Scene, _: Stagehand) -> None:
    scene.control_group(memory_max=str(900 << 20), memory_current=str(600 << 20))


def little_inotify(scene: Scene, _: Stagehand) -> None:
    scene.proc({"sys/fs/inotify/max_user_watches": "100\n", "sys/fs/inotify/max_user_instances": "128\n"})


# State


def home_missing(scene: Scene, _: Stagehand) -> None:
    scene.environment["CODEX_HOME"] = str(scene.root / "nowhere")


def home_is_a_file(scene: Scene, _: Stagehand) -> None:
    (scene.root / "file").touch()
    scene.environment["CODEX_HOME"] = str(scene.root / "file")


def home_is_a_link_to_nowhere(scene: Scene, _: Stagehand) -> None:
    del scene.environment["CODEX_HOME"]
    (scene.root / ".codex").symlink_to(scene.root / "nowhere")


def home_is_a_link(scene: Scene, _: Stagehand) -> None:
    (scene.root / "link").symlink_to(scene.home)
    scene.environment["CODEX_HOME"] = str(scene.root / "link")


def home_is_read_only(scene: Scene, _: Stagehand) -> None:
    scene.machine = replace(scene.machine, statvfs=lambda _: file_system(flags=os.ST_RDONLY))


def home_of_a_group(scene: Scene, _: Stagehand) -> None:
    scene.home.chmod(0o770)


def sessions_is_a_file(scene: Scene, _: Stagehand) -> None:
    scene.write("sessions", "")


def store_is_open(scene: Scene, _: Stagehand) -> None:
    scene.log_in()
    (scene.home / "auth.json").chmod(0o644)


def settings_with_secrets_are_open(scene: Scene, _: Stagehand) -> None:
    (scene.home / "config.toml").chmod(0o640)


def store_has_another_name(scene: Scene, _: Stagehand) -> None:
    scene.log_in()
    os.link(scene.home / "auth.json", scene.root / "copy.json")


def home_on_a_network(scene: Scene, _: Stagehand) -> None:
    scene.proc({"self/mountinfo": f"36 35 0:30 / {scene.home} rw - nfs4 server:/home rw\n"})


def sockets_of_another(scene: Scene, _: Stagehand) -> None:
    (scene.runtime / "greenroom").mkdir(mode=0o755)
    (scene.runtime / "greenroom").chmod(0o755)


def room(**figures: int) -> Prepare:
    def prepare(scene: Scene, _: Stagehand) -> None:
        scene.machine = replace(scene.machine, statvfs=lambda _: file_system(**figures))

    return prepare


def a_session(scene: Scene, content: bytes, number: int = 0) -> None:
    folder = scene.home / "sessions" / "2026" / "01" / "02"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"rollout-2026-01-02T03-04-05-0190c1c6-0000-7000-8000-{number:012}.jsonl"
    (folder / name).write_bytes(content)


def damaged_session(scene: Scene, _: Stagehand) -> None:
    a_session(scene, b"this is no session\n")


def very_many_sessions(scene: Scene, hand: Stagehand) -> None:
    hand.patch.setattr("greenroom.supervisor.cli.doctor.checks.sessions.MANY", 3)
    for number in range(3):
        a_session(scene, b"", number)


# Others on the home


def instance_that_is_silent(scene: Scene, hand: Stagehand) -> None:
    directory = scene.runtime / "greenroom" / f"{os.getpid()}-abc"
    directory.mkdir(parents=True, mode=0o700)
    directory.parent.chmod(0o700)
    listener = hand.stack.enter_context(socket.socket(socket.AF_UNIX))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)  # paths of sockets are short
        listener.bind(instances.CONTROL)
    listener.listen(5)
    created = identity.created(os.getpid()) or ""
    instances.write(str(directory), Instance(os.getpid(), created, "0.0.9", str(scene.home), "fork", 1.0))


def host_without_a_socket(scene: Scene, hand: Stagehand) -> None:
    lock = HostLock.acquire(str(scene.home))
    hand.stack.callback(lock.close)
    lock.write(str(scene.runtime / "gone.sock"))


# Tools and MCP servers


def no_git(scene: Scene, _: Stagehand) -> None:
    scene.environment["PATH"] = str(scene.root)


def another_greenroom(scene: Scene, _: Stagehand) -> None:
    (scene.root / "bin").mkdir()
    other = scene.root / "bin" / "greenroom"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    scene.environment["PATH"] = f"{scene.root / 'bin'}:{scene.environment['PATH']}"


def mcp_server_hangs(scene: Scene, _: Stagehand) -> None:
    scene.patience = replace(scene.patience, mcp=0.5)
    scene.mcp("slow", FAULTY, "slow", str(scene.root / "never"))


def mcp_server_crashes(scene: Scene, _: Stagehand) -> None:
    scene.mcp("broken", "-c", "import os, sys; sys.exit('no shelf; ' + os.environ['SCENE'])")


def mcp_server_that_is_required(scene: Scene, _: Stagehand) -> None:
    scene.mcp("broken", "-c", "raise SystemExit(7)", more="required = true")


def mcp_program_missing(scene: Scene, _: Stagehand) -> None:
    scene.configure(tables='[mcp_servers.gone]\ncommand = "no-such-program-at-all"')


def mcp_token_missing(scene: Scene, _: Stagehand) -> None:
    scene.configure(tables='[mcp_servers.far]\nurl = "http://127.0.0.1:9/mcp"\nbearer_token_env_var = "FAR_TOKEN"')


def mcp_table_is_wrong(scene: Scene, _: Stagehand) -> None:
    scene.configure(tables='[mcp_servers.odd]\nargs = ["x"]')


def mcp_name_is_odd(scene: Scene, _: Stagehand) -> None:
    scene.configure(tables='[mcp_servers."a b"]\ncommand = "true"')


def mcp_url_is_dead(scene: Scene, _: Stagehand) -> None:
    scene.patience = replace(scene.patience, mcp=1.0)
    scene.configure(tables=f'[mcp_servers.far]\nurl = "http://127.0.0.1:{closed_port()}/mcp"')


# What hangs


def disk_that_hangs(scene: Scene, hand: Stagehand) -> None:
    over = threading.Event()
    hand.stack.callback(over.set)

    def wait(_: str) -> os.statvfs_result:
        over.wait(30)
        return file_system()

    scene.machine, scene.seconds = replace(scene.machine, statvfs=wait), 1.5


SCENES: dict[str, Broken] = {
    "syntax": Broken(syntax, "config.load", "fail", "at line 2", "Correct it"),
    "not UTF-8": Broken(not_utf8, "config.load", "fail", "not UTF-8", "Correct it"),
    "wrong value": Broken(wrong_value, "config.load", "fail", "`sandbox_mode`", "Correct it"),
    "unknown key of ours": Broken(unknown_key_of_ours, "config.load", "fail", "unknown field `engin`", "Correct it"),
    "dispensable value": Broken(
        dispensable_value, "config.load", "warning", "`model_verbosity` is left out", "Correct"
    ),
    "no such profile": Broken(no_such_profile, "config.load", "fail", "profile `fast` not found", "Correct it"),
    "unreadable override": Broken(unreadable_override, "config.load", "fail", "Invalid override", "Correct it"),
    "no such provider": Broken(no_such_provider, "config.load", "fail", "`elsewhere` not found", "Correct it"),
    "missing instructions": Broken(missing_instructions, "config.load", "fail", "/nowhere/at/all", "Correct it"),
    "unreadable .env": Broken(dotenv_is_a_directory, "config.load", "fail", ".env", "readable"),
    "bad rules": Broken(bad_rules, "config.load", "warning", "mine.rules cannot be used", "Correct it"),
    "misspelt key": Broken(misspelt_key, "config.keys", "warning", "`approval_policy` is", "write `approval_policy`"),
    "misspelt key below": Broken(
        misspelt_key_below, "config.keys", "warning", "`request_max_retries` is", "mock.request_max_retries"
    ),
    "no login": Broken(no_login, "auth.credentials", "fail", "not logged in", "greenroom login"),
    "expired login": Broken(expired, "auth.credentials", "warning", "expired 2h00m ago", "greenroom login"),
    "expired for good": Broken(expired_for_good, "auth.credentials", "fail", "cannot be renewed", "greenroom login"),
    "store is no JSON": Broken(store_is_no_json, "auth.credentials", "fail", "not JSON", "greenroom login"),
    "store of another shape": Broken(
        store_has_another_shape, "auth.credentials", "fail", "does not fit", "or remove it"
    ),
    "forbidden login": Broken(login_that_is_forbidden, "auth.credentials", "fail", "switched off", "greenroom login"),
    "keyring fails": Broken(keyring_that_fails, "auth.credentials", "fail", "keyring", "Unlock the keyring"),
    "provider down": Broken(provider_down, "network.provider_reachability", "fail", "cannot connect", "`base_url`"),
    "provider silent": Broken(provider_silent, "network.provider_reachability", "fail", "no answer within", "Check"),
    "provider failing": Broken(provider_failing, "network.provider_reachability", "warning", "503", "Try again later"),
    "other provider down": Broken(other_provider_down, "network.provider_reachability", "warning", "`spare`", "spare"),
    "no local server": Broken(local_server_missing, "network.provider_reachability", "fail", "`oss`", "ollama serve"),
    "untrusted certificate": Broken(
        untrusted_certificate, "network.provider_reachability", "fail", "not trusted", "SSL_CERT_FILE"
    ),
    "proxy refuses": Broken(proxy_that_refuses, "network.provider_reachability", "fail", "407", "user and password"),
    "dead proxy on the way": Broken(
        dead_proxy_on_the_way, "network.provider_reachability", "fail", "cannot connect", "NO_PROXY"
    ),
    "key rejected": Broken(key_rejected, "provider.credentials", "fail", "rejects the key in SCENE_KEY", "a new key"),
    "key without rights": Broken(key_without_rights, "provider.credentials", "fail", "status 403", "access to this"),
    "login rejected": Broken(
        login_rejected, "provider.credentials", "fail", "rejects the ChatGPT login", "greenroom login"
    ),
    "key missing": Broken(key_missing, "provider.credentials", "fail", "SCENE_KEY", "Set SCENE_KEY"),
    "token program fails": Broken(
        token_program_fails, "provider.credentials", "fail", "exited with status 3", "by hand"
    ),
    "token program hangs": Broken(token_program_hangs, "provider.credentials", "fail", "timed out", "by hand"),
    "wrong model": Broken(wrong_model, "provider.model", "warning", "`scriptd`", "such as `scripted`"),
    "clock behind": Broken(clock_behind, "clock.skew", "warning", "behind", "NTP"),
    "clock ahead": Broken(clock_ahead, "clock.skew", "warning", "ahead of", "NTP"),
    "clock far off": Broken(clock_far_off, "clock.skew", "fail", "1d00h", "NTP"),
    "dead proxy": Broken(dead_proxy, "network.env", "fail", "HTTPS_PROXY", "NO_PROXY"),
    "proxy of another kind": Broken(proxy_of_another_kind, "network.env", "warning", "`socks5`", "proxy over HTTP"),
    "proxy without scheme": Broken(proxy_without_scheme, "network.env", "warning", "without `http://`", "HTTPS_PROXY"),
    "bundle missing": Broken(bundle_missing, "network.certificates", "fail", "does not exist", "SSL_CERT_FILE"),
    "bundle is none": Broken(bundle_without_certificates, "network.certificates", "fail", "no certificates", "PEM"),
    "bundle of others": Broken(bundle_of_others, "network.certificates", "warning", "not read here", "SSL_CERT_FILE"),
    "no Landlock": Broken(features(landlock_abi=0), "kernel.features", "fail", "Landlock 3", "newer kernel"),
    "old Landlock": Broken(features(landlock_abi=3), "kernel.features", "warning", "Linux 6.12", "newer kernel"),
    "no seccomp": Broken(features(seccomp=False), "kernel.features", "fail", "seccomp", "danger-full-access"),
    "no namespaces": Broken(
        features(namespaces_refused="not permitted"), "kernel.features", "warning", "mount namespaces", "namespaces"
    ),
    "foreign machine": Broken(features(architecture="vax"), "kernel.features", "fail", "vax", "danger-full-access"),
    "no Landlock, no sandbox": Broken(no_landlock_and_no_sandbox, "kernel.features", "warning", "Landlock 3", "newer"),
    "no confined command": Broken(
        no_confined_command, "sandbox.helpers", "fail", "no confined command", "kernel.features"
    ),
    "few descriptors": Broken(
        limited(resource.RLIMIT_NOFILE, 64), "limits.descriptors", "fail", "only 64", "ulimit -n"
    ),
    "some descriptors": Broken(
        limited(resource.RLIMIT_NOFILE, 256), "limits.descriptors", "warning", "256", "LimitNOFILE"
    ),
    "few processes": Broken(limited(resource.RLIMIT_NPROC, 20), "limits.processes", "fail", "only 20", "ulimit -u"),
    "few tasks": Broken(few_tasks_in_the_group, "limits.processes", "warning", "100 processes", "TasksMax"),
    "little memory": Broken(little_memory, "limits.memory", "fail", "of memory is left", "live_workers"),
    "little memory in group": Broken(little_memory_in_the_group, "limits.memory", "warning", "300MB", "MemoryMax"),
    "few addresses": Broken(limited(resource.RLIMIT_AS, 1 << 30), "limits.memory", "warning", "addresses", "ulimit -v"),
    "little inotify": Broken(little_inotify, "limits.inotify", "warning", "max_user_watches is 100", "sysctl"),
    "home missing": Broken(home_missing, "state.paths", "fail", "cannot be used", "Set CODEX_HOME"),
    "home is a file": Broken(home_is_a_file, "state.paths", "fail", "not a directory", "Set CODEX_HOME"),
    "home links to nowhere": Broken(
        home_is_a_link_to_nowhere, "state.paths", "fail", "is a link to", "remove the link"
    ),
    "home is read-only": Broken(home_is_read_only, "state.paths", "fail", "is not writable", "mount it writable"),
    "home of a group": Broken(home_of_a_group, "state.paths", "warning", "the group can write", "chmod go-w"),
    "sessions is a file": Broken(
        sessions_is_a_file, "state.paths", "fail", "not a writable directory", "owner and mode"
    ),
    "store is open": Broken(store_is_open, "state.paths", "warning", "auth.json", "chmod 600"),
    "settings are open": Broken(settings_with_secrets_are_open, "state.paths", "warning", "config.toml", "chmod 600"),
    "store has another name": Broken(store_has_another_name, "state.paths", "warning", "hard link", "Remove the other"),
    "home on a network": Broken(home_on_a_network, "state.paths", "warning", "nfs4", "local disk"),
    "sockets of another": Broken(sockets_of_another, "state.paths", "fail", "this user alone", "XDG_RUNTIME_DIR"),
    "disk is full": Broken(room(free=1 << 20), "system.disk", "fail", "only 1.0MB is free", "Make room"),
    "disk is nearly full": Broken(room(free=500 << 20), "system.disk", "warning", "500MB", "Make room"),
    "no more files": Broken(room(files=5), "system.disk", "fail", "only 5 more files", "Make room"),
    "disk hangs": Broken(disk_that_hangs, "system.disk", "fail", "hangs", "a disk, server or program"),
    "damaged session": Broken(damaged_session, "state.sessions", "warning", "cannot be read", "see the details"),
    "very many sessions": Broken(
        very_many_sessions, "state.sessions", "warning", "3 conversations", "sessions compress"
    ),
    "silent instance": Broken(
        instance_that_is_silent, "instances.home", "warning", "does not answer", "greenroom stop"
    ),
    "host without a socket": Broken(host_without_a_socket, "app_server.status", "fail", "is gone", "greenroom stop"),
    "no git": Broken(no_git, "git.environment", "warning", "there is no git", "Install git"),
    "another greenroom": Broken(another_greenroom, "installation", "warning", "not this installation", "Remove one"),
    "MCP server hangs": Broken(mcp_server_hangs, "mcp.servers", "warning", "not ready after 0.5 s", "by hand"),
    "MCP server crashes": Broken(mcp_server_crashes, "mcp.servers", "warning", "no shelf", "enabled = false"),
    "MCP server is required": Broken(mcp_server_that_is_required, "mcp.servers", "fail", "exit code 7", "by hand"),
    "MCP server is unreachable": Broken(mcp_url_is_dead, "mcp.servers", "warning", "`far`", "Check `url`"),
    "MCP program missing": Broken(mcp_program_missing, "mcp.config", "warning", "cannot be found", "Install it"),
    "MCP token missing": Broken(mcp_token_missing, "mcp.config", "warning", "FAR_TOKEN", "Set it"),
    "MCP table is wrong": Broken(mcp_table_is_wrong, "mcp.config", "warning", "`odd` is left out", "Correct"),
    "MCP name is odd": Broken(mcp_name_is_odd, "mcp.config", "warning", "`a b`", "Rename"),
}
