"""A Hugging Face hub on this machine, as far as huggingface_hub asks it: repositories, downloads, uploads, commits.

Files of more than a kilobyte are LFS objects, as large ones are on the hub. It can refuse, cut a download off, and
serve other bytes than it was given.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

LFS_FROM = 1024
TOKEN = "hf_of_the_tests"
Reply = tuple[int, Any, dict[str, str]]


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """Branches -> commit, commits -> files; the newest commit last."""

    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        oid = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        return oid

    def find(self, revision: str) -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)


@dataclass
class LoopbackHub:
    """What it has, what it was asked, and what goes wrong.

    Attributes
    ----------
    asked
        "METHOD PATH" of every request; of a part of a file, with its range.
    cuts
        Place -> how many more times its download breaks off in the middle.
    spoilt
        Places that are served with one byte changed.
    uploads_left
        LFS objects that are taken before the storage is full; None: all.
    ignored
        Places that a .gitignore of the repository names.
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    cuts: dict[str, int] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)
    uploads_left: int | None = None
    ignored: set[str] = field(default_factory=set)

    def add(self, name: str, folder: Path, place: str = "", **options: Any) -> Repository:
        """Put a folder into a repository, as if it had been pushed."""
        repository = self.repositories.setdefault(name, Repository(**options))
        before = repository.commits.get(repository.branches.get("main", ""), {})
        files = {
            f"{place}{file.relative_to(folder).as_posix()}": file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        repository.commit({**before, **files})
        return repository

    def fetched(self) -> list[str]:
        """Places whose content was asked for, in order, whole or in part."""
        return [line.split("/", 5)[5] for line in self.asked if re.match(r"GET /[\w-]+/[\w-]+/resolve/", line)]

    def written(self) -> list[str]:
        """Requests that change something."""
        return [line for line in self.asked if not line.startswith(("GET ", "HEAD ")) and "validate-yaml" not in line]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the client's acknowledgement
    hub: LoopbackHub

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self.handle_one()

    do_GET = do_POST = do_PUT = do_HEAD  # noqa: N815

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in self.path.split("?")[0].strip("/").split("/")]
        path = "/" + "/".join(parts)
        part = self.headers.get("Range")
        self.hub.asked.append(f"{self.command} {path}{f' {part}' if part else ''}")
        self.hub.agents.add(self.headers.get("User-Agent", ""))
        status, content, headers = self.answer(path, parts, body)
        if not isinstance(content, bytes):
            content, headers = json.dumps(content).encode(), {"Content-Type": "application/json", **headers}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        place = path.split("/", 5)[-1]
        if self.hub.cuts.get(place, 0) and "/resolve/" in path:
            self.hub.cuts[place] -= 1
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        else:
            self.wfile.write(content)

    def answer(self, path: str, parts: list[str], body: bytes) -> Reply:
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, {}
        if parts[0] == "lfs":
            return self.take_object(parts[1], body)
        if self.command == "POST" and not self.authorized:
            return 401, {"error": "Invalid username or password."}, {}
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return 200, {"transfer": "basic", "objects": list(map(self.action, json.loads(body)["objects"]))}, {}
        return self.of_repository(parts, body)

    def of_repository(self, parts: list[str], body: bytes) -> Reply:
        name, rest = ("/".join(parts[2:4]), parts[4:]) if parts[0] == "api" else ("/".join(parts[:2]), parts[2:])
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self.authorized):
            return 401 if not self.authorized else 404, {"error": "no"}, {"X-Error-Code": "RepoNotFound"}
        if repository.gated and parts[0] != "api":
            return 403, {"error": "no"}, {"X-Error-Code": "GatedRepo"}
        if parts[0] == "api":
            return self.api(name, repository, rest, body)
        return self.file(repository, rest[1], "/".join(rest[2:]))

    @property
    def authorized(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def api(self, name: str, repository: Repository, rest: list[str], body: bytes) -> Reply:
        kind, revision = rest[0] if rest else "revision", rest[1] if rest[1:] else "main"
        if kind == "branch":
            repository.branches.setdefault(revision, repository.branches["main"])
            return 200, {}, {}
        commit = repository.find(revision)
        if commit is None:
            return 404, {"error": "no"}, {"X-Error-Code": "RevisionNotFound"}
        files = repository.commits[commit]
        if kind == "preupload":
            return 200, {"files": [self.mode(files, one) for one in json.loads(body)["files"]]}, {}
        if kind == "commit":
            return self.commit(name, repository, revision, [json.loads(line) for line in body.splitlines()])
        if kind == "tree":
            return 200, [{"type": "file", "path": n, "size": len(c), "oid": git_oid(c)} for n, c in files.items()], {}
        siblings = [self.sibling(place, content) for place, content in files.items()]
        return 200, {"id": name, "sha": commit, "private": repository.private, "siblings": siblings}, {}

    @staticmethod
    def sibling(place: str, content: bytes) -> dict[str, Any]:
        told: dict[str, Any] = {"rfilename": place, "size": len(content), "blobId": git_oid(content)}
        if len(content) >= LFS_FROM:
            told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return told

    def mode(self, files: dict[str, bytes], one: dict[str, Any]) -> dict[str, Any]:
        there = files.get(one["path"])
        oid = None if there is None else git_oid(there)
        mode = "lfs" if one["size"] >= LFS_FROM else "regular"
        return {"path": one["path"], "uploadMode": mode, "shouldIgnore": one["path"] in self.hub.ignored, "oid": oid}

    def create(self, asked: dict[str, Any]) -> Reply:
        name = f"{asked['organization']}/{asked['name']}"
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repositories[name] = Repository(private=private)
        self.hub.repositories[name].commit({".gitattributes": b"*.data filter=lfs\n"})
        return 200, {"url": f"{self.hub.url}/{name}"}, {}

    def action(self, one: dict[str, Any]) -> dict[str, Any]:
        if one["oid"] in self.hub.objects:
            return dict(one)
        return {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}

    def take_object(self, oid: str, body: bytes) -> Reply:
        if self.hub.uploads_left == 0:
            return 507, {"error": "the storage is full"}, {}
        if self.hub.uploads_left is not None:
            self.hub.uploads_left -= 1
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "another hash"}, {}
        self.hub.objects[oid] = body
        return 200, {}, {}

    def commit(self, name: str, repository: Repository, branch: str, lines: list[dict[str, Any]]) -> Reply:
        head = repository.branches.get(branch)
        files = dict(repository.commits[head or ""])
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit") not in (None, head):
                return 412, {"error": "a commit has happened since"}, {}
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        oid = repository.commit(files, branch)
        return 200, {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{name}/commit/{oid}"}, {}

    def file(self, repository: Repository, revision: str, place: str) -> Reply:
        commit = repository.find(revision)
        if commit is None:
            return 404, b"", {"X-Error-Code": "RevisionNotFound"}
        content = repository.commits[commit].get(place)
        if content is None:
            return 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
        large = len(content) >= LFS_FROM
        etag = hashlib.sha256(content).hexdigest() if large else git_oid(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))} if large else {}
        if place in self.hub.spoilt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            begin = int(found[1])
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            return 206, content[begin:], headers
        return 200, content, headers


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    """Serve until the block ends; what a client holds open does not keep it."""
    hub = LoopbackHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
