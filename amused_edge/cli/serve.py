"""`amused-edge serve`: its arguments, and what the terminal shows while it runs."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click import Choice, IntRange
from cloup import option, option_group
from cloup.typing import Decorator

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.values import PATH

if TYPE_CHECKING:
    from amused_edge.serve.http.tls import Encryption
    from amused_edge.serve.running import Running

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where a server listens, and what it is called by.

    Attributes
    ----------
    tls
        Whether connections are encrypted; with `certificate` and `key`, or with a certificate made for the day.
    allow_host
        Names that it is called by beside its addresses.
    """

    host: str
    port: int
    tls: bool
    certificate: Path | None
    key: Path | None
    allow_host: tuple[str, ...]


def place(host: str) -> tuple[Decorator, ...]:
    """Return the options of a `Place`."""
    return (
        option(
            "--host",
            default=host,
            show_default=True,
            metavar="ADDRESS",
            help="To listen at; 0.0.0.0 lets others in who have the token.",
        ),
        option(
            "--port",
            type=IntRange(0, 65535),
            default=8765,
            show_default=True,
            metavar="N",
            help="0 takes any that is free.",
        ),
        option("--tls", is_flag=True, help="Encrypt, with a certificate made for the day."),
        option("--certificate", type=PATH, metavar="FILE", help="Encrypt with this one (PEM)."),
        option("--key", type=PATH, metavar="FILE", help="Of the certificate, where it is not in the same file."),
        option("--allow-host", multiple=True, metavar="NAME", help="The server is called by this name too."),
    )


def take_place(given: dict[str, Any]) -> Place:
    """Take the options of a `Place` out of a command's."""
    names = ("host", "port", "tls", "certificate", "key", "allow_host")
    return Place(**{name: given.pop(name) for name in names})


@click.command(
    cls=Command,
    short_help="A page to draw with, and an API, on this machine.",
    extras=("serve",),
    examples=("amused-edge serve amused-w8", "amused-edge serve amused-fp32 amused-w8 --compute server --no-open"),
)
@click.argument("bundles", nargs=-1, required=True, type=PATH, metavar="BUNDLE...")
@option_group("Address", *place(LOCAL))
@option_group(
    "Page",
    option(
        "--compute",
        type=Choice(["page", "server"]),
        default="page",
        show_default=True,
        help="Who draws for the page: the browser, or this process. The API always draws here.",
    ),
    option("--open/--no-open", "opens", default=None, help="Open it in the browser.  [default: at a terminal]"),
    option("--api-only", is_flag=True, help="Serve no page."),
)
@option_group("Engine", *options.GRAPHS)
def serve(
    bundles: tuple[Path, ...],
    compute: Literal["page", "server"],
    opens: bool | None,
    api_only: bool,
    threads: int | None,
    low_memory: bool,
    cache: bool,
    **given: Any,
) -> None:
    """Serve BUNDLEs to browsers and programs, until Ctrl-C: a page to draw with, the files that it draws from, and an
    API.

    For your own machine, or for your own network with --host 0.0.0.0; not a public server.
    """
    from amused_edge.serve.http.page import page_files
    from amused_edge.serve.shelf import Shelf

    shelf = Shelf(bundles, options.engine(threads, low_memory, cache))
    files = {} if api_only else page_files()
    with serving(shelf, files, take_place(given), compute=compute) as (server, addresses):
        console.say("\n".join(addresses))
        if files and (sys.stdout.isatty() if opens is None else opens):
            click.launch(addresses[0])
        server.wait()


@contextlib.contextmanager
def serving(
    shelf: Any, files: Any, where: Place, *, compute: Literal["page", "server"] = "page", bench: Any = None
) -> "Iterator[tuple[Running, list[str]]]":
    """Run a server while the block lasts; give it and its addresses. A signal ends the block, and is no failure."""
    from amused_edge.serve.running import listen, own_addresses, reaches_others, running, urls
    from amused_edge.serve.site import Site

    others = reaches_others(where.host)
    hosts = [*where.allow_host, *(own_addresses(where.host) if others else [where.host])]
    encryption = _encryption(where, hosts)
    taken = listen(where.host, where.port)
    port = taken.getsockname()[1]
    rules = _rules(where, port, others, encryption is not None)
    site: Site = Site(shelf, files, rules, compute, bench)
    addresses = urls(hosts, port, secure=rules.secure, token=rules.token)
    with running(site, taken, encryption) as server:
        if encryption is not None:
            console.complain(f"the certificate's SHA-256 is {encryption.fingerprint}")
        if others and encryption is None:
            console.complain(_PLAIN.format(port=port))
        with contextlib.suppress(KeyboardInterrupt, SystemExit):  # how a server is ended
            yield server, addresses


_PLAIN = (
    "by plain http, other devices have one thread, no WebGPU and keep no files: use --tls, or, for an Android phone at "
    "the cable, `adb reverse tcp:{port} tcp:{port}` and localhost in the address's place"
)


def _rules(where: Place, port: int, others: bool, secure: bool) -> Any:
    import secrets

    from amused_edge.serve.http.guard import Rules

    token = secrets.token_urlsafe(16) if others else ""
    names = (*where.allow_host, *(() if _is_number(where.host) else (where.host,)))
    return Rules(names, others, token, secure, f"amused-edge-{port}")


def _is_number(host: str) -> bool:
    with contextlib.suppress(ValueError):
        ip_address(host)
        return True
    return False


def _encryption(where: Place, hosts: Sequence[str]) -> "Encryption | None":
    from amused_edge.serve.http import tls

    if where.certificate is not None:
        return tls.from_files(where.certificate, where.key)
    if where.key is not None:
        raise click.UsageError("--key needs a --certificate")
    return tls.for_a_day(list(dict.fromkeys([*hosts, "localhost", LOCAL]))) if where.tls else None
