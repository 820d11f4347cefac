"""The three kinds of patches that kubectl sends, as an API server applies them."""

import copy

# Lists whose items have a name of their own, by the name of the list; `ports` are those of containers or
# of services.
KEYS = {
    "containers": ["name"], "initContainers": ["name"], "volumes": ["name"], "env": ["name"],
    "volumeMounts": ["mountPath"], "imagePullSecrets": ["name"], "ports": ["containerPort", "port"],
    "conditions": ["type"], "ownerReferences": ["uid"],
}


def merge_patch(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge_patch(target.get(key), value)
    return target


def json_patch(target, operations):
    """RFC 6902, without `move` and `copy`, which kubectl does not send."""
    document = {"": copy.deepcopy(target)}
    for operation in operations:
        names = [name.replace("~1", "/").replace("~0", "~") for name in operation["path"].split("/")]
        parent = document
        for name in names[:-1]:
            parent = parent[int(name)] if isinstance(parent, list) else parent[name]
        name, what = names[-1], operation["op"]
        if isinstance(parent, list):
            name = len(parent) if name == "-" else int(name)
        exists = name in parent if isinstance(parent, dict) else name < len(parent)
        if what == "add" and isinstance(parent, list):
            parent.insert(name, operation["value"])
        elif what == "add" or what == "replace" and exists:
            parent[name] = operation["value"]
        elif what == "remove" and exists:
            del parent[name]
        elif what != "test" or not exists or parent[name] != operation["value"]:
            raise ValueError(f"{what} operation does not apply: {operation['path']}")
    return document[""]


def strategic_merge_patch(target, patch):
    """Maps are merged, and lists whose items have names; `null` and `$patch: delete` remove."""
    how = patch.get("$patch")
    if how == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if how == "delete":
        return {}
    target = dict(target)
    kept = patch.get("$retainKeys")
    if kept is not None:
        target = {key: value for key, value in target.items() if key in kept}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            key = key.split("/", 1)[1]
            target[key] = [item for item in target.get(key, []) if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            target[key] = strategic_merge_patch(target.get(key, {}), value)
        elif isinstance(value, list) and key in KEYS and all(isinstance(item, dict) for item in value):
            order = patch.get(f"$setElementOrder/{key}")
            target[key] = merged_list(target.get(key, []), value, KEYS[key], order)
        else:
            target[key] = value
    for key, order in patch.items():
        name = key.partition("/")[2]
        if key.startswith("$setElementOrder/") and name in target and name not in patch:
            target[name] = merged_list(target[name], [], KEYS.get(name, []), order)
    return target


def merged_list(target, patch, keys, order):
    def of(item):
        return next((item[key] for key in keys if key in item), None) if isinstance(item, dict) else item

    if any(item.get("$patch") == "replace" and len(item) == 1 for item in patch):
        return [item for item in patch if "$patch" not in item]
    items = {of(item): item for item in target}
    for item in patch:
        if item.get("$patch") == "delete":
            items.pop(of(item), None)
        else:
            items[of(item)] = strategic_merge_patch(items.get(of(item), {}), item)
    if order:
        first = [of(item) for item in order]
        items = {key: items[key] for key in sorted(items, key=lambda k: first.index(k) if k in first else len(first))}
    return list(items.values())
