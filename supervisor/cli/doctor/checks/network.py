"""Checks of the network settings of the environment: proxies, and the certificates by which servers are verified."""

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.workers.model.transport.endpoint import visible_url

PROXIES: Final = ("https_proxy", "http_proxy", "all_proxy")
"""Variables that name a proxy, in either case; the lower one wins."""
SCHEMES: Final = {"http": 80, "https": 443}
"""Kinds of proxies that are used, with their usual ports."""
IGNORED: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Variables with certificates that other programs read and this one does not."""


async def proxies(context: CheckContext) -> Finding:
    """Find proxies that cannot be used or do not answer."""
    configured = dict(_configured(context))
    details: dict[str, Detail] = {name: visible_url(url) for name, url in configured.items()}
    bypassed = context.environment.get("no_proxy") or context.environment.get("NO_PROXY", "")
    if bypassed:
        details["no_proxy"] = bypassed
    trying = (_try_proxy(name, url, context.patience.provider) for name, url in configured.items())
    problems = [problem for problem in await asyncio.gather(*trying) if problem is not None]
    well = f"through {', '.join(sorted(set(configured)))}" if configured else "no proxy is configured"
    return combined_finding(problems, well, details)


async def certificates(context: CheckContext) -> Finding:
    """Tell whether there are certificates by which servers can be verified."""
    return await in_thread(lambda: _certificates(context))


def _configured(context: CheckContext) -> Iterator[tuple[str, str]]:
    for name in PROXIES:
        for form in (name, name.upper()):
            if form == "HTTP_PROXY" and "REQUEST_METHOD" in context.environment:
                continue  # as the standard library does: in CGI, clients can set it
            if url := context.environment.get(form, "").strip():
                yield form, url
                break


async def _try_proxy(name: str, url: str, timeout_s: float) -> Problem | None:
    try:
        address = urlsplit(url)
        port = address.port or SCHEMES.get(address.scheme, 0)
    except ValueError:
        return Problem("fail", f"{name} is no valid address", f"Correct {name}; such as http://proxy.example:3128.")
    if address.scheme not in SCHEMES or not address.hostname:
        kind = f"a proxy of the kind `{address.scheme}`" if address.scheme else "an address without `http://`"
        remedy = f"Name a proxy over HTTP in {name}, with `http://`; others are not used, and connections are direct."
        return Problem("warning", f"{name} names {kind}, which is not used", remedy)
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(address.hostname, port)
    except TimeoutError:
        reason = f"no answer within {timeout_s:g} s"
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it cannot be connected to"
    else:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return None
    remedy = f"Correct or unset {name}, or list the servers that are reached directly in NO_PROXY."
    return Problem("fail", f"the proxy of {name}, {visible_url(url)}, cannot be reached: {reason}", remedy)


def _certificates(context: CheckContext) -> Finding:
    environment, paths = context.environment, ssl.get_default_verify_paths()
    file = environment.get(paths.openssl_cafile_env, "") or paths.openssl_cafile
    folder = environment.get(paths.openssl_capath_env, "") or paths.openssl_capath
    details: dict[str, Detail] = {"file": file, "directory": folder}
    ignored = [name for name in IGNORED if environment.get(name)]
    if ignored:
        details["not read"] = ignored
    named = [
        Problem("fail", f"{variable} names {place}, which does not exist", f"Correct or unset {variable}.")
        for variable, place in ((paths.openssl_cafile_env, file), (paths.openssl_capath_env, folder))
        if environment.get(variable) and not os.path.exists(place)
    ]
    if named:
        return combined_finding(named, "", details)
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        trusted.load_verify_locations(
            cafile=file if os.path.isfile(file) else None, capath=folder if os.path.isdir(folder) else None
        )
    except ssl.SSLError:
        return Finding("fail", f"{file} holds no certificates", details, "Name a file in PEM form in SSL_CERT_FILE.")
    except (OSError, TypeError):
        return _no_certificates(details)
    count = trusted.cert_store_stats()["x509_ca"]
    details["authorities"] = str(count)
    if not count and not _has_entries(folder):
        return _no_certificates(details)
    if ignored and not environment.get(paths.openssl_cafile_env):
        remedy = f"Set {paths.openssl_cafile_env} to the same file."
        return Finding("warning", f"{', '.join(ignored)} is set, which is not read here", details, remedy)
    return Finding("ok", f"{count} authorities" if count else f"those in {folder}", details)


def _no_certificates(details: dict[str, Detail]) -> Finding:
    remedy = "Install the package `ca-certificates`, or name a file of certificates in SSL_CERT_FILE."
    return Finding("fail", "there are no certificates, so no server can be verified", details, remedy)


def _has_entries(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
