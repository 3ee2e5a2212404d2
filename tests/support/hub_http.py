"""The Hugging Face Hub's HTTP protocol, as far as the tests need it: one method per route, listed at the end."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.hub_repo import Blob, Commit, Kind, Repo, is_large

if TYPE_CHECKING:
    from tests.support.hub import HubServer

REPO = r"(?P<kind>models|datasets)/(?P<repo_id>[^/]+/[^/]+)"
FILES = r"(?P<prefix>datasets/)?(?P<repo_id>[^/]+/[^/]+)"


class RefusalError(Exception):
    """An HTTP status other than 200, with the Hub's own error headers."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Handler(BaseHTTPRequestHandler):
    """One connection; the routes are the methods named in ``ROUTES``."""

    hub: "HubServer"
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class named it
        """Nothing on standard error: the test looks at ``HubServer.requests``."""

    def handle_any(self) -> None:
        """Routes a request of any method."""
        parts = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.body = self._read_body()
        line = f"{self.command} {parts.path}"
        with self.hub.lock:
            self.hub.requests.append(line)
        try:
            self._fail_if_told(line)
            for pattern, route in ROUTES:
                if match := re.fullmatch(pattern, line):
                    groups = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                    route(self, **groups)
                    return
            raise RefusalError(404, f"no route for {line}")
        except RefusalError as refusal:
            headers = {"X-Error-Message": str(refusal)}
            headers |= {"X-Error-Code": refusal.code} if refusal.code else {}
            self.send(refusal.status, json.dumps({"error": str(refusal)}).encode(), headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815  the base class names them

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _fail_if_told(self, line: str) -> None:
        with self.hub.lock:
            for failure in self.hub.failures:
                if failure.remaining != 0 and failure.pattern.search(line):
                    if failure.remaining is not None:
                        failure.remaining -= 1
                    raise RefusalError(failure.status, "told to fail", failure.error_code)

    def send(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """One whole response; the body is kept back for HEAD."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, value: Any) -> None:
        """A JSON document."""
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send_bytes(self, content: bytes, headers: Mapping[str, str]) -> None:
        """A file, or the part of it that a ``Range`` header asks for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked or self.command == "HEAD":
            self.send(200, content, {"Accept-Ranges": "bytes", **headers})
            return
        start, end = int(asked[1]), int(asked[2] or len(content) - 1)
        part = content[start : end + 1]
        span = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        self.send(206, part, {"Content-Range": span, **headers})

    @property
    def authorized(self) -> bool:
        """Whether the request carries the token that the server knows."""
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def repo(self, kind: str, repo_id: str, *, write: bool = False) -> Repo:
        """The repository, if the request may see it and, for ``write``, change it.

        Like the Hub, which tells a stranger nothing: absent and private look the same, and are a 401.
        """
        repo = self.hub.repos.get((kind.removesuffix("s"), repo_id))
        if repo is None or (repo.private and not self.authorized):
            raise RefusalError(404 if self.authorized else 401, "Repository not found", "RepoNotFound")
        if write:
            self.require_namespace(repo_id.split("/")[0])
        return repo

    def require_namespace(self, namespace: str) -> None:
        """Refuses unless the caller is logged in and may write to the user or organization."""
        if not self.authorized:
            raise RefusalError(401, "Invalid username or password.")
        if namespace not in (self.hub.user, *self.hub.organizations):
            raise RefusalError(403, f'You don\'t have the rights to create a dataset under the namespace "{namespace}"')

    def commit(self, repo: Repo, revision: str) -> Commit:
        """The commit that a revision names."""
        found = repo.find(revision)
        if found is None:
            raise RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    # Accounts and repositories -------------------------------------------------------------------------------

    def whoami(self) -> None:
        """The account that a token belongs to."""
        if not self.authorized:
            raise RefusalError(401, "Invalid credentials in Authorization header")
        organizations = [{"type": "org", "name": name, "roleInOrg": "write"} for name in self.hub.organizations]
        self.send_json({"type": "user", "name": self.hub.user, "orgs": organizations, "auth": {"type": "access_token"}})

    def validate_yaml(self) -> None:
        """Any card's header is accepted."""
        self.send_json({"errors": [], "warnings": []})

    def create(self) -> None:
        """A new, empty repository; 409 where it exists."""
        asked = json.loads(self.body)
        kind: Kind = asked.get("type") or "model"
        namespace = asked.get("organization") or self.hub.user
        repo_id = f"{namespace}/{asked['name']}"
        self.require_namespace(namespace)
        url = f"{self.hub.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
        if (kind, repo_id) in self.hub.repos:
            self.send(409, json.dumps({"error": "You already created this repo", "url": url}).encode())
            return
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.hub.add_repo(kind, repo_id, {}, private=private)
        self.send_json({"url": url, "id": repo_id})

    def info(self, kind: str, repo_id: str, revision: str = "main") -> None:
        """A repository at a revision."""
        repo = self.repo(kind, repo_id)
        self.send_json(repo.info(self.commit(repo, revision)))

    def auth_check(self, kind: str, repo_id: str, write: str | None = None) -> None:
        """Whether the caller may see, or change, a repository."""
        repo = self.repo(kind, repo_id, write=bool(write))
        if repo.gated and not self.authorized:
            raise RefusalError(403, f"Access to {repo_id} is restricted.", "GatedRepo")
        self.send_json({})

    def refs(self, kind: str, repo_id: str) -> None:
        """The one branch."""
        head = self.repo(kind, repo_id).head
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": head.oid}]
        self.send_json({"branches": branches, "tags": [], "converts": []})

    def history(self, kind: str, repo_id: str, revision: str) -> None:
        """Commits, newest first."""
        repo = self.repo(kind, repo_id)
        last = repo.commits.index(self.commit(repo, revision))
        self.send_json([commit.summary() for commit in reversed(repo.commits[: last + 1])])

    def tree(self, kind: str, repo_id: str, revision: str, path: str = "") -> None:
        """Files and folders, of one folder or of everything below it."""
        commit = self.commit(self.repo(kind, repo_id), revision)
        recursive = self.query.get("recursive", "").lower() == "true"
        entries = commit.tree(path, recursive=recursive)
        if path and not entries:
            raise RefusalError(404, f"{path} does not exist on {revision}", "EntryNotFound")
        self.send_json(entries)

    def paths_info(self, kind: str, repo_id: str, revision: str) -> None:
        """Those of some paths that exist."""
        commit = self.commit(self.repo(kind, repo_id), revision)
        paths = parse_qs(self.body.decode()).get("paths", [])
        self.send_json([entry for path in paths if (entry := commit.entry(path)) is not None])

    # Reading files -------------------------------------------------------------------------------------------

    def resolve(self, repo_id: str, revision: str, path: str, prefix: str = "") -> None:
        """A file; one that git does not keep is a redirect to the object store."""
        repo = self.repo("datasets" if prefix else "models", repo_id)
        if repo.gated and not self.authorized:
            raise RefusalError(401, f"Access to {repo_id} is restricted.", "GatedRepo")
        commit = self.commit(repo, revision)
        headers = {"X-Repo-Commit": commit.oid}
        blob = commit.files.get(path)
        if blob is None:
            self.send(404, b"", headers | {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        elif blob.is_large:
            linked = {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.content))}
            # By another host name, as on the Hub: clients follow a redirect within one host without asking further.
            storage = self.hub.endpoint.replace("127.0.0.1", "localhost")
            self.send(302, b"", headers | linked | {"Location": f"{storage}/objects/{blob.sha256}"})
        else:
            self.send_bytes(blob.content, headers | {"ETag": f'"{blob.oid}"'})

    def get_object(self, sha256: str) -> None:
        """A large file from the object store."""
        if sha256 not in self.hub.objects:
            raise RefusalError(404, f"no object {sha256}")
        self.send_bytes(self.hub.objects[sha256], {"ETag": f'"{sha256}"'})

    # Writing files -------------------------------------------------------------------------------------------

    def preupload(self, kind: str, repo_id: str, revision: str) -> None:
        """Which way each file must be sent, and what the repository has in its place."""
        commit = self.commit(self.repo(kind, repo_id, write=True), revision)
        answers = []
        for asked in json.loads(self.body)["files"]:
            present = commit.files.get(asked["path"])
            oid = None if present is None else present.sha256 if present.is_large else present.oid
            mode = "lfs" if is_large(asked["path"]) else "regular"
            answers.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.send_json({"files": answers})

    def batch(self, repo_id: str, prefix: str = "") -> None:
        """Where to put those large files that the object store lacks."""
        self.repo("datasets" if prefix else "models", repo_id, write=True)
        answers = []
        for asked in json.loads(self.body)["objects"]:
            upload = {"upload": {"href": f"{self.hub.endpoint}/objects/{asked['oid']}", "header": {}}}
            answers.append(asked if asked["oid"] in self.hub.objects else {**asked, "actions": upload})
        self.send_json({"transfer": "basic", "objects": answers})

    def put_object(self, sha256: str) -> None:
        """A large file into the object store."""
        if hashlib.sha256(self.body).hexdigest() != sha256:
            raise RefusalError(400, "content does not match its oid")
        self.hub.objects[sha256] = self.body
        self.send(200)

    def push(self, kind: str, repo_id: str, revision: str) -> None:
        """A commit, one operation per line."""
        repo = self.repo(kind, repo_id, write=True)
        files = dict(self.commit(repo, revision).files)
        summary = ""
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            match operation["key"]:
                case "header":
                    summary = value["summary"]
                case "file":
                    files[value["path"]] = Blob(base64.b64decode(value["content"]), is_large=False)
                case "lfsFile":
                    if value["oid"] not in self.hub.objects:
                        raise RefusalError(400, f"{value['path']} was not uploaded")
                    files[value["path"]] = Blob(self.hub.objects[value["oid"]], is_large=True)
                case "deletedFile":
                    del files[value["path"]]
                case "deletedFolder":
                    files = {path: blob for path, blob in files.items() if not path.startswith(value["path"])}
        commit = repo.commit(summary, files)
        url = f"{self.hub.endpoint}/{kind}/{repo_id}/commit/{commit.oid}"
        self.send_json({"success": True, "commitOid": commit.oid, "commitUrl": url})


ROUTES: list[tuple[str, Any]] = [
    (r"GET /api/whoami-v2", Handler.whoami),
    (r"POST /api/validate-yaml", Handler.validate_yaml),
    (r"POST /api/repos/create", Handler.create),
    (rf"GET /api/{REPO}(/revision/(?P<revision>[^/]+))?", Handler.info),
    (rf"GET /api/{REPO}/auth-check(?P<write>/write)?", Handler.auth_check),
    (rf"GET /api/{REPO}/refs", Handler.refs),
    (rf"GET /api/{REPO}/commits/(?P<revision>[^/]+)", Handler.history),
    (rf"GET /api/{REPO}/tree/(?P<revision>[^/]+)(/(?P<path>.+))?", Handler.tree),
    (rf"POST /api/{REPO}/paths-info/(?P<revision>[^/]+)", Handler.paths_info),
    (rf"POST /api/{REPO}/preupload/(?P<revision>[^/]+)", Handler.preupload),
    (rf"POST /api/{REPO}/commit/(?P<revision>[^/]+)", Handler.push),
    (rf"POST /{FILES}\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /objects/(?P<sha256>\w+)", Handler.put_object),
    (r"(GET|HEAD) /objects/(?P<sha256>\w+)", Handler.get_object),
    (rf"(GET|HEAD) /{FILES}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
]
