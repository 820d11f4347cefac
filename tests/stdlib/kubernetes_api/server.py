#!/usr/bin/env python3
"""A Kubernetes small enough for tests: what kubectl asks of an API server, answered from memory.

    server.py ADDRESS PORT

Each first part of a path is a cluster of its own: `http://ADDRESS:PORT/one/api/v1/…`. It ends when its
standard input does. `GET /one/state` waits until the controllers have nothing to do, and answers with all
objects. `GET /one/asked` says what was asked of it so far.

Compared with kube-apiserver and kube-controller-manager 1.20.2, on etcd 3.4.23, by the same 62 calls of kubectl
to both, with kubectl 1.20.2 and 1.32.4: all that `std/kubernetes` and its tests call, in the states they meet,
and the refusals: exit statuses, what is printed, objects, revisions and sets of replicas. The same but for:
managed fields, which are not kept here; times and messages in conditions; the reasons of a refusal after "is
invalid"; how far a rollout is told to be on its way; and what the real ones make beside (service accounts,
endpoints, events, pods).
"""

import copy
import json
import os
import re
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cluster import KINDS, RESOURCES, Cluster, Refused
from patches import json_patch, merge_patch, strategic_merge_patch

PATCHES = {
    "application/json-patch+json": json_patch,
    "application/merge-patch+json": merge_patch,
    "application/strategic-merge-patch+json": strategic_merge_patch,
}
PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v1(?:/namespaces/(?P<namespace>[^/]+)(?=/[^/]))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?"
)
CLUSTERS = {}
LOCK = threading.Lock()


def field(number, value):
    """A field of a message in protobuf: a text or another message."""
    value = value.encode() if isinstance(value, str) else value
    size, length = b"", len(value)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + value


def openapi():
    """The description of this API: that patches of all resources can be tried. Numbers of fields are those
    of OpenAPIv2.proto of gnostic."""
    paths = b""
    for group, plural, kind, *_ in RESOURCES:
        parameter = field(1, field(2, field(3, field(4, "dryRun"))))
        named = field(1, "x-kubernetes-group-version-kind")
        named += field(2, field(2, json.dumps({"group": group, "version": "v1", "kind": kind})))
        patch = field(8, field(8, parameter) + field(13, named))
        paths += field(2, field(1, f"/{group}/{plural}") + field(2, patch))
    return field(1, "2.0") + field(8, paths)


def resources(group):
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return {
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/v1" if group else "v1",
        "resources": [
            {"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs,
             "shortNames": short}
            for of, plural, kind, namespaced, short in RESOURCES if of == group
        ],
    }


def groups():
    names = sorted({group for group, *_ in RESOURCES if group})
    versions = [{"groupVersion": f"{name}/v1", "version": "v1"} for name in names]
    return {
        "kind": "APIGroupList", "apiVersion": "v1",
        "groups": [{"name": name, "versions": [version], "preferredVersion": version}
                   for name, version in zip(names, versions)],
    }


def selects(query, obj):
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        path, value = term.split("=", 1)
        found = obj
        for part in path.split("."):
            found = found.get(part, "")
        if found != value.lstrip("="):
            return False
    labels = obj["metadata"].get("labels", {})
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, value = term.split("=", 1)
        if labels.get(name) != value.lstrip("="):
            return False
    return True


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body, kind="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body, sort_keys=True).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def asked(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        url = urllib.parse.urlsplit(self.path)
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        _, first, rest = (url.path.rstrip("/") + "/").split("/", 2)
        with LOCK:
            cluster = CLUSTERS.setdefault(first, None) or Cluster()
            CLUSTERS[first] = cluster
        cluster.asked.append(f"{self.command} /{rest}{'?' + url.query if url.query else ''}")
        try:
            self.route(cluster, "/" + rest.rstrip("/"), query, json.loads(body) if body else None)
        except Refused as refused:
            self.answer(refused.code, refused.status)
        except ValueError:
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 422,
                      "reason": "Invalid", "message": "the server rejected our request due to an error in our request"}
            self.answer(422, status)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = asked

    def route(self, cluster, path, query, body):
        fixed = {"/api": lambda: {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
                 "/apis": groups,
                 "/version": lambda: {"major": "1", "minor": "20", "gitVersion": "v1.20.2"}}
        listed = re.fullmatch(r"/(?:api|apis/([^/]+))/v1", path)
        found = PATH.fullmatch(path)
        if path == "/openapi/v2":
            self.answer(200, openapi(), "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
        elif path == "/asked":
            self.answer(200, cluster.asked)
        elif path == "/state":
            with cluster.lock:
                cluster.rest()
                objects = sorted(cluster.objects.items())
                self.answer(200, [obj for _, obj in objects])
        elif path in fixed:
            self.answer(200, fixed[path]())
        elif listed:
            self.answer(200, resources(listed[1] or ""))
        elif found and (found["group"] or "", found["plural"]) in KINDS:
            self.object(cluster, found, query, body)
        else:
            raise Refused(404, "NotFound", "the server could not find the requested resource")

    def object(self, cluster, found, query, body):
        group, plural, namespace, name = found["group"] or "", found["plural"], found["namespace"], found["name"]
        dry = query.get("dryRun") == "All"
        if self.command == "GET" and not name:
            return self.list(cluster, group, plural, namespace, query)
        with cluster.lock:
            if self.command == "POST":
                if namespace:
                    body["metadata"].setdefault("namespace", namespace)
                return self.answer(201, cluster.put(group, plural, body, dry))
            old = cluster.find(group, plural, namespace or "", name)
            if self.command == "PUT":
                old = cluster.change(group, plural, old, body, dry)
            elif self.command == "PATCH":
                patch = PATCHES.get(self.headers["Content-Type"])
                if patch is None:
                    raise Refused(415, "UnsupportedMediaType", f"not served here: {self.headers['Content-Type']}")
                old = cluster.change(group, plural, old, patch(copy.deepcopy(old), body), dry)
            elif self.command == "DELETE":
                body = body or {}
                policy = body.get("propagationPolicy", "Background")
                old = cluster.delete(group, plural, old, policy, body.get("preconditions", {}).get("uid"))
            self.answer(200, old)

    def list(self, cluster, group, plural, namespace, query):
        def is_asked_for(key, obj):
            return key[:2] == (group, plural) and namespace in (None, key[2]) and selects(query, obj)

        if query.get("watch") not in ("1", "true"):
            with cluster.lock:
                items = [obj for key, obj in sorted(cluster.objects.items()) if is_asked_for(key, obj)]
                version = {"resourceVersion": str(cluster.version)}
                kind = KINDS[group, plural][0] + "List"
                api = f"{group}/v1" if group else "v1"
                return self.answer(200, {"kind": kind, "apiVersion": api, "metadata": version, "items": items})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        at = int(query.get("resourceVersion") or cluster.version)
        while True:
            with cluster.lock:
                news = [event for event in cluster.events if event[0] > at]
                if not news:
                    # Who asked may be gone: an empty line is no event, and shows it.
                    cluster.lock.wait(1)
            lines = "\n"
            for at, key, event, obj in news:
                if is_asked_for(key, obj):
                    lines += json.dumps({"type": event, "object": obj}) + "\n"
            self.wfile.write(f"{len(lines.encode()):x}\r\n{lines}\r\n".encode())
            self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *about):
        # Who asked is gone, as one who was killed is: that is no error.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*about)


def main():
    server = Server((sys.argv[1], int(sys.argv[2])), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("it listens", flush=True)
    sys.stdin.read()
    # Watches may still be waiting.
    os._exit(0)


main()
