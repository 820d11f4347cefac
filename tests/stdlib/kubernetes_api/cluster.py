"""The objects of a small cluster, and what acts on them: controllers that roll deployments out, delete what
belonged to others and empty namespaces. Pods are not there: those of a set of replicas are ready a moment after
it is made, unless an image ends in `:broken`; then they never are.

What it was compared with stands in `server.py`.
"""

import copy
import datetime
import hashlib
import json
import threading
import time
import uuid

# How long the controllers take to see a change, and pods to be ready, in seconds.
SEES = 0.02
READY = 0.05

RBAC = "rbac.authorization.k8s.io"
# Group, plural, kind, whether it lives in a namespace, short names.
RESOURCES = [
    ("", "configmaps", "ConfigMap", True, ["cm"]),
    ("", "namespaces", "Namespace", False, ["ns"]),
    ("", "secrets", "Secret", True, []),
    ("", "services", "Service", True, ["svc"]),
    ("apps", "deployments", "Deployment", True, ["deploy"]),
    ("apps", "replicasets", "ReplicaSet", True, ["rs"]),
    ("networking.k8s.io", "ingresses", "Ingress", True, ["ing"]),
    (RBAC, "clusterroles", "ClusterRole", False, []),
]
KINDS = {(group, plural): (kind, namespaced) for group, plural, kind, namespaced, _ in RESOURCES}
REVISION = "deployment.kubernetes.io/revision"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
FOREGROUND = "foregroundDeletion"


class Refused(Exception):
    """An answer that is a Status."""

    def __init__(self, code, reason, message, details=None):
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": details or {}, "code": code,
        }


def called(group, plural):
    return f"{plural}.{group}" if group else plural


def not_found(group, plural, name):
    return Refused(404, "NotFound", f'{called(group, plural)} "{name}" not found',
                   {"name": name, "group": group, "kind": plural})


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def default(target, **values):
    for key, value in values.items():
        target.setdefault(key, value)


def defaults_of_pods(template):
    template["metadata"].setdefault("creationTimestamp", None)
    spec = template["spec"]
    default(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler",
            securityContext={}, terminationGracePeriodSeconds=30)
    for container in spec.get("initContainers", []) + spec.get("containers", []):
        tag = container["image"].rsplit("/", 1)[-1]
        latest = ":" not in tag or tag.endswith(":latest")
        default(container, imagePullPolicy="Always" if latest else "IfNotPresent", resources={},
                terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
        for port in container.get("ports", []):
            default(port, protocol="TCP")


class Cluster:
    """The objects of one cluster, and what acts on them."""

    def __init__(self):
        self.lock = threading.Condition()
        self.version = 1
        self.objects = {}
        self.events = []
        self.work = []
        self.addresses = 0
        # Since when a deployment rolls which set of replicas out, by its uid.
        self.begun = {}
        self.asked = []
        with self.lock:
            self.put("", "namespaces", {"metadata": {"name": "default"}})
        threading.Thread(target=self.control, daemon=True).start()

    # The store. All that follows is called with the lock held.

    def key(self, group, plural, obj):
        return (group, plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

    def find(self, group, plural, namespace, name):
        found = self.objects.get((group, plural, namespace, name))
        if found is None:
            raise not_found(group, plural, name)
        return found

    def write(self, group, plural, obj, event):
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        key = self.key(group, plural, obj)
        if event == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        self.events.append((self.version, key, event, copy.deepcopy(obj)))
        self.work.append((time.monotonic() + SEES, key))
        self.lock.notify_all()

    def complete(self, group, plural, obj):
        """Adds what the server adds, and refuses what is not valid."""
        kind, _ = KINDS[group, plural]
        meta = obj["metadata"]
        obj["kind"], obj["apiVersion"] = kind, f"{group}/v1" if group else "v1"
        for texts in ("labels", "annotations"):
            if not meta.get(texts):
                meta.pop(texts, None)
        if kind == "Namespace":
            default(obj, spec={"finalizers": ["kubernetes"]}, status={"phase": "Active"})
        elif kind == "Service":
            spec = obj["spec"]
            default(spec, type="ClusterIP", sessionAffinity="None")
            if "clusterIP" not in spec:
                self.addresses += 1
                spec["clusterIP"] = f"10.0.0.{self.addresses}"
            default(spec, clusterIPs=[spec["clusterIP"]])
            for port in spec.get("ports", []):
                default(port, protocol="TCP", targetPort=port["port"])
                if spec["type"] == "NodePort":
                    default(port, nodePort=30000 + port["port"] % 2768)
                    default(spec, externalTrafficPolicy="Cluster")
                elif "nodePort" in port:
                    port.pop("nodePort")
            obj["status"] = {"loadBalancer": {}}
        elif kind == "Deployment":
            spec = obj["spec"]
            default(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
            default(spec["strategy"], type="RollingUpdate")
            if spec["strategy"]["type"] == "RollingUpdate":
                default(spec["strategy"], rollingUpdate={"maxSurge": "25%", "maxUnavailable": "25%"})
            defaults_of_pods(spec["template"])
            names = [container["name"] for container in spec["template"]["spec"]["containers"]]
            for at, container in enumerate(spec["template"]["spec"]["containers"]):
                if not container.get("image"):
                    raise Refused(422, "Invalid", f'Deployment.apps "{meta["name"]}" is invalid: '
                                  f"spec.template.spec.containers[{at}].image: Required value")
            if len(set(names)) != len(names):
                raise Refused(422, "Invalid", f'Deployment.apps "{meta["name"]}" is invalid: Duplicate value')
        elif kind == "Ingress":
            obj["status"] = {"loadBalancer": {}}
        elif kind == "Secret":
            default(obj, type="Opaque")

    def put(self, group, plural, obj, dry=False):
        kind, namespaced = KINDS[group, plural]
        meta = obj["metadata"]
        if namespaced:
            namespace = self.find("", "namespaces", "", meta.setdefault("namespace", "default"))
            if "deletionTimestamp" in namespace["metadata"]:
                raise Refused(403, "Forbidden", f'{called(group, plural)} "{meta["name"]}" is forbidden: unable to '
                              f'create new content in namespace {meta["namespace"]} because it is being terminated')
        else:
            meta.pop("namespace", None)
        if meta.get("resourceVersion"):
            raise Refused(500, "", "resourceVersion should not be set on objects to be created")
        if self.key(group, plural, obj) in self.objects:
            raise Refused(409, "AlreadyExists", f'{called(group, plural)} "{meta["name"]}" already exists',
                          {"name": meta["name"], "group": group, "kind": plural})
        for own in ("deletionTimestamp", "selfLink", "managedFields"):
            meta.pop(own, None)
        meta["uid"], meta["creationTimestamp"] = str(uuid.uuid4()), now()
        obj.pop("status", None)
        if kind in ("Deployment", "Ingress", "ReplicaSet"):
            meta["generation"] = 1
        self.complete(group, plural, obj)
        if not dry:
            self.write(group, plural, obj, "ADDED")
        return obj

    def change(self, group, plural, old, new, dry=False):
        """Puts `new` in the place of `old`, as an update by a client does."""
        kind, _ = KINDS[group, plural]
        name, was, meta = old["metadata"]["name"], old["metadata"], new["metadata"]
        about = {"name": name, "group": group, "kind": plural}
        invalid = {"name": name, "group": group, "kind": kind}
        if meta.get("uid", was["uid"]) != was["uid"]:
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {called(group, plural)} "{name}": '
                          f'Precondition failed: UID in precondition: {meta["uid"]}, UID in object meta: {was["uid"]}',
                          about)
        if meta.get("resourceVersion") not in (None, "", was["resourceVersion"]):
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {called(group, plural)} "{name}": the '
                          "object has been modified; please apply your changes to the latest version and try again",
                          about)
        for own in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion"):
            meta.pop(own, None)
            if own in was:
                meta[own] = was[own]
        new.pop("status", None)
        if "status" in old:
            new["status"] = copy.deepcopy(old["status"])
        if kind == "Service" and "clusterIP" not in new["spec"]:
            new["spec"]["clusterIP"] = old["spec"]["clusterIP"]
        self.complete(group, plural, new)
        for fixed_of, fixed in (("Deployment", "selector"), ("Service", "clusterIP")):
            if kind == fixed_of and new["spec"].get(fixed) != old["spec"].get(fixed):
                why = f"Invalid value: {json.dumps(new['spec'].get(fixed))}: field is immutable"
                invalid["causes"] = [{"reason": "FieldValueInvalid", "message": why, "field": f"spec.{fixed}"}]
                of = f"{kind}.{group}" if group else kind
                raise Refused(422, "Invalid", f'{of} "{name}" is invalid: spec.{fixed}: {why}', invalid)
        if new == old:
            return old
        if "generation" in was and new.get("spec") != old.get("spec"):
            meta["generation"] = was["generation"] + 1
        if dry:
            return new
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            self.write(group, plural, new, "DELETED")
        else:
            self.write(group, plural, new, "MODIFIED")
        return new

    def delete(self, group, plural, old, policy, uid=None):
        name = old["metadata"]["name"]
        about = {"name": name, "group": group, "kind": plural, "uid": old["metadata"]["uid"]}
        if uid not in (None, old["metadata"]["uid"]):
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {called(group, plural)} "{name}": '
                          f'Precondition failed: UID in precondition: {uid}, UID in object meta: {about["uid"]}', about)
        dying = copy.deepcopy(old)
        finalizers = dying["metadata"].get("finalizers", [])
        if policy == "Foreground" and FOREGROUND not in finalizers:
            finalizers = finalizers + [FOREGROUND]
        if finalizers or plural == "namespaces":
            if finalizers:
                dying["metadata"]["finalizers"] = finalizers
            dying["metadata"].setdefault("deletionTimestamp", now())
            if plural == "namespaces":
                dying["status"] = {"phase": "Terminating"}
            if dying != old:
                self.write(group, plural, dying, "MODIFIED")
            return dying
        self.write(group, plural, dying, "DELETED")
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": about}

    # The controllers.

    def control(self):
        while True:
            with self.lock:
                self.work.sort(key=lambda item: item[0])
                if not self.work:
                    self.lock.wait()
                    continue
                due = self.work[0][0] - time.monotonic()
                if due > 0:
                    self.lock.wait(due)
                    continue
                _, key = self.work.pop(0)
                self.act(*key)
                self.lock.notify_all()

    def act(self, group, plural, namespace, name):
        for key, obj in list(self.objects.items()):
            # What belonged to one that is gone goes too.
            owners = [owner["uid"] for owner in obj["metadata"].get("ownerReferences", [])]
            uids = {other["metadata"]["uid"] for other in self.objects.values()}
            if owners and not uids.intersection(owners):
                self.delete(key[0], key[1], obj, "Background")
        obj = self.objects.get((group, plural, namespace, name))
        if obj is None:
            return
        if "deletionTimestamp" in obj["metadata"]:
            self.finish(group, plural, obj)
        elif plural == "deployments":
            self.roll_out(obj)

    def finish(self, group, plural, obj):
        """Goes on with a deletion that is under way."""
        meta = obj["metadata"]
        if plural == "namespaces":
            inside = [(key, o) for key, o in self.objects.items() if key[2] == meta["name"]]
            for key, other in inside:
                if "deletionTimestamp" not in other["metadata"]:
                    self.delete(key[0], key[1], other, "Background")
            if not any(key[2] == meta["name"] for key in self.objects):
                self.write(group, plural, copy.deepcopy(obj), "DELETED")
            else:
                self.work.append((time.monotonic() + SEES, self.key(group, plural, obj)))
        elif FOREGROUND in meta.get("finalizers", []):
            for key, other in list(self.objects.items()):
                if any(owner["uid"] == meta["uid"] for owner in other["metadata"].get("ownerReferences", [])):
                    self.delete(key[0], key[1], other, "Background")
            new = copy.deepcopy(obj)
            new["metadata"]["finalizers"].remove(FOREGROUND)
            if not new["metadata"]["finalizers"]:
                del new["metadata"]["finalizers"]
            self.change(group, plural, obj, new)

    def sets_of(self, deployment):
        uid = deployment["metadata"]["uid"]
        return [rs for rs in self.objects.values() if rs["kind"] == "ReplicaSet"
                and any(owner["uid"] == uid for owner in rs["metadata"].get("ownerReferences", []))]

    def roll_out(self, deployment):
        new = copy.deepcopy(deployment)
        meta, spec = new["metadata"], new["spec"]
        sets = self.sets_of(deployment)
        number = lambda rs: int(rs["metadata"]["annotations"][REVISION])
        last = max(map(number, sets), default=0)
        wanted = spec["template"]
        current = next((rs for rs in sets if without_hash(rs["spec"]["template"]) == without_hash(wanted)), None)
        if current is None and spec.get("paused"):
            return
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:10]
        if current is None:
            template = copy.deepcopy(wanted)
            template["metadata"].setdefault("labels", {})["pod-template-hash"] = digest
            kept = {k: v for k, v in meta.get("annotations", {}).items() if k not in (APPLIED, REVISION)}
            current = self.put("apps", "replicasets", {
                "metadata": {
                    "name": f'{meta["name"]}-{digest}', "namespace": meta["namespace"],
                    "labels": template["metadata"]["labels"], "annotations": {**kept, REVISION: str(last + 1)},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"],
                                         "uid": meta["uid"], "controller": True, "blockOwnerDeletion": True}],
                },
                "spec": {"replicas": spec["replicas"], "selector": spec["selector"], "template": template},
            })
        else:
            newer = copy.deepcopy(current)
            newer["spec"]["replicas"] = spec["replicas"]
            if number(current) < last:
                newer["metadata"]["annotations"][REVISION] = str(last + 1)
            current = self.change("apps", "replicasets", current, newer)
        meta.setdefault("annotations", {})[REVISION] = current["metadata"]["annotations"][REVISION]
        images = [container["image"] for container in wanted["spec"]["containers"]]
        ready = not any(image.endswith(":broken") for image in images)
        begun, name = self.begun.get(meta["uid"], (0, ""))
        if name != current["metadata"]["name"]:
            begun, name = time.monotonic(), current["metadata"]["name"]
            self.begun[meta["uid"]] = (begun, name)
        waited = time.monotonic() - begun
        count = spec["replicas"]
        status = {"observedGeneration": meta["generation"], "replicas": count, "updatedReplicas": count}
        progress = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}
        if ready and waited >= READY:
            status.update(readyReplicas=count, availableReplicas=count)
            progress["reason"] = "NewReplicaSetAvailable"
            old = sorted((rs for rs in self.sets_of(deployment) if rs["metadata"]["uid"] != current["metadata"]["uid"]), key=number)
            for at, rs in enumerate(old):
                if at < len(old) - spec["revisionHistoryLimit"]:
                    self.delete("apps", "replicasets", rs, "Background")
                elif rs["spec"]["replicas"]:
                    smaller = copy.deepcopy(rs)
                    smaller["spec"]["replicas"] = 0
                    self.change("apps", "replicasets", rs, smaller)
        else:
            again = READY - waited if ready else spec["progressDeadlineSeconds"] - waited
            status.update(unavailableReplicas=count)
            if again > 0:
                self.work.append((time.monotonic() + again, self.key("apps", "deployments", new)))
            else:
                progress.update(status="False", reason="ProgressDeadlineExceeded")
        status["conditions"] = [progress]
        if "availableReplicas" in status:
            status["conditions"].insert(0, {"type": "Available", "status": "True",
                                            "reason": "MinimumReplicasAvailable"})
        new["status"] = status
        if new != deployment:
            self.write("apps", "deployments", new, "MODIFIED")

    def rest(self):
        """Waits until the controllers have nothing to do for the next seconds."""
        while any(due < time.monotonic() + 5 for due, _ in self.work):
            self.lock.wait(SEES)


def without_hash(template):
    template = copy.deepcopy(template)
    labels = template["metadata"].get("labels", {})
    labels.pop("pod-template-hash", None)
    if not labels:
        template["metadata"].pop("labels", None)
    return template
